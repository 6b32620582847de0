import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.metrics import holidays_average_precision, score_holidays_results
from tests.metrics import oracles

TRUTH = {"100.jpg": {"101.jpg", "102.jpg"}, "200.jpg": {"201.jpg"}}


@pytest.fixture(scope="module")
def holidays(shared_data):
    """Dict of query to positives: a number that 100 divides starts a group."""
    groups = {}
    for name in (shared_data / "ground_truth" / "holidays_images.dat").read_text().split():
        if int(name.removesuffix(".jpg")) % 100 == 0:
            groups[name] = group = set()
        else:
            group.add(name)
    return groups


@pytest.fixture
def results(tmp_path):
    def write(text):
        path = tmp_path / "results.dat"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_sample_result_file(holidays, shared_data):
    scores = score_holidays_results(
        shared_data / "ground_truth" / "holidays_result_sample.txt", holidays
    )
    assert scores.per_query["ap"].shape == (500,)
    assert sum(len(group) for group in holidays.values()) == 991
    assert round(scores.means["mAP (Holidays)"], 5) == 0.68923
    assert list(scores.means) == ["mAP (Holidays)"]


def test_the_sample_result_file_query_by_query(holidays, shared_data):
    path = shared_data / "ground_truth" / "holidays_result_sample.txt"
    scores = score_holidays_results(path, holidays)
    rankings = {}
    for line in path.read_text().splitlines():
        query, *fields = line.split()
        rankings[query] = fields[1::2]
    assert len(rankings) == 500
    loop = [oracles.oxford_ap(rankings[q], holidays[q], {q}) for q in holidays]
    np.testing.assert_allclose(scores.per_query["ap"], loop, rtol=0, atol=1e-12)
    single = [holidays_average_precision(rankings[q], holidays[q], q) for q in holidays]
    np.testing.assert_allclose(scores.per_query["ap"], single, rtol=0, atol=1e-12)
    kept = np.mean([oracles.oxford_ap(rankings[q], holidays[q]) for q in holidays])
    counted = np.mean([oracles.oxford_ap(rankings[q], holidays[q] | {q}) for q in holidays])
    assert abs(kept - 0.68923) > 0.01
    assert abs(counted - 0.68923) > 0.01


@settings(max_examples=40)
@given(st.permutations(range(8)), st.sets(st.integers(1, 7), min_size=1), st.integers(0, 8))
def test_where_the_query_ranks_changes_nothing(ranking, positives, length):
    ranking = list(ranking)[:length]
    without = [item for item in ranking if item != 0]
    expected = oracles.oxford_ap(without, positives)
    score = holidays_average_precision(ranking, positives, 0)
    assert score == pytest.approx(expected, abs=1e-12)
    assert holidays_average_precision(without, positives, 0) == score
    assert holidays_average_precision(ranking, positives | {0}, 0) == score


def test_a_group_of_one_image_has_no_score():
    assert math.isnan(holidays_average_precision([0, 1], [0], 0))


def test_numbers_say_the_order_and_blank_lines_nothing(results):
    path = results(
        "200.jpg 0 200.jpg 1 201.jpg\n\n100.jpg\t3 102.jpg 0 100.jpg 2 200.jpg 1 101.jpg\n"
    )
    scores = score_holidays_results(path, TRUTH)
    # Without the query: 101 at rank 1, 102 at rank 3: (1 + (1/2 + 2/3) / 2) / 2 = 19/24.
    assert scores.per_query["ap"].tolist() == [pytest.approx(19 / 24), 1.0]
    assert scores.means == {"mAP (Holidays)": pytest.approx(43 / 48)}


def test_numbers_that_are_left_out_are_ranks_of_other_images(results):
    # 101 at the official rank 2 (from 0), moved up past the query: (0/1 + 1/2) / 2 / 2 = 1/8.
    path = results("100.jpg 0 100.jpg 2 101.jpg\n200.jpg 1 201.jpg 4 200.jpg\n")
    # Behind nothing of its own, 201 stays at rank 1 (from 0): (0/1 + 1/2) / 2.
    assert score_holidays_results(path, TRUTH).per_query["ap"].tolist() == [0.125, 0.25]


def test_a_query_without_results_scores_zero(results):
    path = results("100.jpg 0 101.jpg 1 102.jpg\n200.jpg\n")
    assert score_holidays_results(path, TRUTH).means == {"mAP (Holidays)": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100.jpg 0 101.jpg\n", "1 of 2 queries have no line, the first is 200.jpg"),
        ("", "2 of 2 queries have no line"),
        ("100.jpg\n101.jpg 0 100.jpg\n", "line 2: 101.jpg is not a query of Holidays"),
        ("100.jpg\n100.jpg\n", "line 2: a second line for the query 100.jpg"),
        ("100.jpg 0 101.jpg 1\n", "line 1: ranks and names must alternate"),
        ("100.jpg 0 101.jpg 102.jpg 1\n", "'102.jpg' stands where a rank is expected"),
        ("100.jpg -1 101.jpg\n", "'-1' stands where a rank is expected"),
        ("100.jpg 99999999999999999999 101.jpg\n", "stands where a rank is expected"),
        ("100.jpg 0 999.jpg\n", "999.jpg is not an image of Holidays"),
        ("100.jpg 0 101.jpg 0 102.jpg\n", "the rank 0 or the name 102.jpg comes twice"),
        ("100.jpg 0 101.jpg 1 101.jpg\n", "the rank 1 or the name 101.jpg comes twice"),
        ("100.jpg 1 101.jpg\n200.jpg 1 201.jpg\n", "no result has rank 0"),
    ],
)
def test_bad_result_files_are_refused_in_one_line(results, text, message):
    path = results(text)
    with pytest.raises(UserError, match=message) as caught:
        score_holidays_results(path, TRUTH)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_can_not_be_read(tmp_path):
    with pytest.raises(UserError, match=r"missing\.dat: not readable"):
        score_holidays_results(tmp_path / "missing.dat", TRUTH)
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match=r"image\.jpg: not readable"):
        score_holidays_results(tmp_path / "image.jpg", TRUTH)
