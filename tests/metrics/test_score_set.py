import dataclasses
import doctest

import numpy as np
import pytest

from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError
from darac_tf.metrics import (
    PROTOCOLS,
    Scores,
    gpr1200,
    holidays,
    landmarks,
    oxford,
    query_truth,
    revisited,
    revisited_scores,
    score_set,
    scores,
    verdicts,
)
from tests.metrics import oracles


def _images(names):
    return ImageList(np.array([f"images/{name}.jpg" for name in names]))


def _benchmark(protocol, n_database, own_rows=None, queries=None, **relevance):
    n_queries = len(next(iter(relevance.values())))
    relevance = {
        name: [np.array(rows, dtype=np.int64) for rows in lists]
        for name, lists in relevance.items()
    }
    return RetrievalSet(
        name="Tiny",
        protocol=protocol,
        database=_images(range(n_database)),
        queries=_images(queries or [f"q{i}" for i in range(n_queries)]),
        own_rows=None if own_rows is None else np.array(own_rows),
        relevance=relevance,
    )


@pytest.mark.parametrize("module", [gpr1200, holidays, landmarks, oxford, revisited, scores])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


def test_what_is_known_of_each_protocol():
    """The same lists under every protocol: what is right, what is skipped."""
    right_and_junk = {
        "oxford": ({0, 1}, {2}),
        "revisited": ({0, 1}, {2}),
        "holidays": ({1}, {0}),
        "gpr1200": ({0, 1, 3}, set()),
    }
    assert list(right_and_junk) == list(PROTOCOLS)
    own = {"oxford": 0, "revisited": -1, "holidays": 0, "gpr1200": 3}
    names = {"easy": [[0, 0]], "hard": [[1]], "positives": [[1, 0]], "junk": [[2]]}
    for kind, (positives, junk) in right_and_junk.items():
        lists = {name: names[name] for name in PROTOCOLS[kind].lists}
        tiny = _benchmark(kind, 4, own_rows=[own[kind]], **lists)
        truth = query_truth(tiny, 0)
        assert (truth.positives, truth.junk) == (positives, junk)
        right = [None if row in junk else row in positives for row in range(4)]
        assert verdicts(tiny, 0, range(4)) == right
        scores = score_set(tiny, [[3, 2, 1, 0]])
        np.testing.assert_array_equal(scores.ap, scores.per_query[PROTOCOLS[kind].main])
        assert all(PROTOCOLS[kind].name in name for name in scores.means)


def test_oxford_keeps_the_query_and_skips_the_junk():
    tiny = _benchmark("oxford", 5, own_rows=[0, 1], positives=[[0, 2], [1]], junk=[[3], []])
    rankings = np.array([[0, 1, 3, 2, 4], [4, 3, 1, -1, -1]])
    got = score_set(tiny, rankings)
    # 0 at rank 1, 2 at rank 3 without the junk: (1 + (1/2 + 2/3) / 2) / 2. Then (0/2 + 1/3) / 2.
    assert got.per_query["ap"].tolist() == pytest.approx([19 / 24, 1 / 6])
    assert got.per_query["ap"].dtype == np.float64
    assert got.means == {"mAP (Oxford)": pytest.approx((19 / 24 + 1 / 6) / 2)}
    assert verdicts(tiny, 0, rankings[0]) == [True, False, None, True, False]


def test_revisited_has_three_settings():
    tiny = _benchmark(
        "revisited", 6, easy=[[1], [0], []], hard=[[2, 3], [], []], junk=[[0], [], [5]]
    )
    rankings = np.array([[4, 1, 0, 2, 5, 3], [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    got = score_set(tiny, rankings)
    singles = [
        revisited_scores(rankings[q], **{k: v[q] for k, v in tiny.relevance.items()})
        for q in range(3)
    ]
    assert set(got.per_query) == set(singles[0])
    for key, values in got.per_query.items():
        np.testing.assert_array_equal(values, [single[key] for single in singles])
    assert np.isnan(got.per_query["ap (Medium)"]).tolist() == [False, False, True]
    # Query 2 leaves every mean, query 1 those of Hard.
    assert got.means["mAP (revisited, Easy)"] == pytest.approx((0.25 + 1) / 2)
    assert got.means["mAP (revisited, Medium)"] == pytest.approx((83 / 180 + 1) / 2)
    assert got.means["mAP (revisited, Hard)"] == pytest.approx(1 / 3)
    assert got.means["mP@10 (revisited, Hard)"] == pytest.approx(0.5)
    assert len(got.means) == 12
    assert all("revisited" in name for name in got.means)
    assert verdicts(tiny, 0, rankings[0]) == [False, True, None, True, False, True]


def test_a_setting_that_no_query_has_is_left_out_of_the_means():
    got = score_set(_benchmark("revisited", 2, easy=[[0]], hard=[[]], junk=[[]]), [[1, 0]])
    assert np.isnan(got.per_query["ap (Hard)"]).all()
    assert not any("Hard" in name for name in got.means)
    assert got.means["mAP (revisited, Easy)"] == 0.25


def test_holidays_takes_the_query_out():
    tiny = _benchmark("holidays", 4, own_rows=[0, 3], positives=[[1], [2, 3]])
    rankings = np.array([[0, 2, 1, 3], [2, 3, -1, -1]])
    got = score_set(tiny, rankings)
    assert got.per_query["ap"].tolist() == [0.25, 1.0]
    assert got.means == {"mAP (Holidays)": 0.625}
    assert verdicts(tiny, 0, rankings[0]) == [None, False, True, False]
    assert verdicts(tiny, 1, [2, 3]) == [True, None]


def test_a_query_outside_the_database_has_nothing_to_take_out():
    tiny = _benchmark("holidays", 3, own_rows=[-1], positives=[[2]])
    assert score_set(tiny, [[0, 2, 1]]).per_query["ap"].tolist() == [0.25]
    assert verdicts(tiny, 0, [0, 2]) == [False, True]
    tiny = dataclasses.replace(tiny, own_rows=None)
    assert score_set(tiny, [[0, 2, 1]]).per_query["ap"].tolist() == [0.25]


@pytest.mark.parametrize("with_own", [False, True])
def test_gpr1200_counts_the_query(with_own):
    names = ["3_a", "3_b", "250_a", "250_b"]
    positives = [[0, 1], [2, 3]] if with_own else [[1], [3]]
    tiny = _benchmark(
        "gpr1200", 4, own_rows=[0, 2], queries=[names[0], names[2]], positives=positives
    )
    got = score_set(tiny, [[0, 2, 1, 3], [2, 3, 0, 1]])
    assert got.per_query["ap"].tolist() == pytest.approx([5 / 6, 1.0])
    assert got.means == pytest.approx(
        {
            "mAP (GPR1200)": 11 / 12,
            "mAP (GPR1200, Landmarks)": 5 / 6,
            "mAP (GPR1200, iNaturalist)": 1.0,
        }
    )
    assert verdicts(tiny, 0, [0, 1, 2]) == [True, True, False]


def test_gpr1200_without_category_numbers_has_no_domains():
    tiny = _benchmark("gpr1200", 2, own_rows=[0], positives=[[0, 1]])
    assert score_set(tiny, [[0, 1]]).means == {"mAP (GPR1200)": 1.0}


def test_random_oxford_set_agrees_with_the_loop():
    rng = np.random.default_rng(11)
    rankings = np.argsort(rng.random((20, 60)), axis=1)[:, :40]
    rankings[3, 25:] = -1
    rankings[4] = -1
    drawn = [rng.permutation(60) for _ in range(20)]
    tiny = _benchmark(
        "oxford", 60, positives=[rows[:7] for rows in drawn], junk=[rows[7:12] for rows in drawn]
    )
    expected = [
        oracles.oxford_ap([r for r in ranking.tolist() if r >= 0], rows[:7], rows[7:12])
        for ranking, rows in zip(rankings, drawn, strict=True)
    ]
    got = score_set(tiny, rankings)
    np.testing.assert_allclose(got.per_query["ap"], expected, rtol=0, atol=1e-12)
    assert got.per_query["ap"][4] == 0.0
    assert score_set(tiny, rankings.astype(np.int16)).means == got.means
    assert got.means["mAP (Oxford)"] == pytest.approx(np.mean(expected))


def test_queries_without_positives_leave_the_mean():
    tiny = _benchmark("oxford", 2, positives=[[0], []], junk=[[], [1]])
    got = score_set(tiny, [[0, 1], [0, 1]])
    assert np.isnan(got.per_query["ap"]).tolist() == [False, True]
    assert got.means == {"mAP (Oxford)": 1.0}


def test_scores_are_frozen():
    got = score_set(_benchmark("oxford", 1, positives=[[0]], junk=[[]]), [[0]])
    assert isinstance(got, Scores)
    with pytest.raises(dataclasses.FrozenInstanceError):
        got.means = {}


def test_refuses_a_set_without_positives_or_queries():
    tiny = _benchmark("oxford", 2, positives=[[], []], junk=[[0], []])
    with pytest.raises(UserError, match=r"Tiny: none of the 2 queries has a positive.*: check"):
        score_set(tiny, [[0, 1], [0, 1]])
    own_only = _benchmark("holidays", 2, own_rows=[0], positives=[[0]])
    with pytest.raises(UserError, match="none of the 1 queries"):
        score_set(own_only, [[0, 1]])
    empty = _benchmark("oxford", 2, positives=[], junk=[])
    with pytest.raises(UserError, match="Tiny: there are no queries"):
        score_set(empty, np.zeros((0, 2), int))


@pytest.mark.parametrize("row", [-1, 3])
@pytest.mark.parametrize("name", ["positives", "junk"])
def test_ground_truth_outside_the_database_is_named(name, row):
    lists = {"positives": [[0], [0]], "junk": [[], []]} | {name: [[0], [1, row]]}
    tiny = _benchmark("oxford", 3, **lists)
    message = rf"Tiny: the ground truth of query 1 \(q1.jpg\) has row {row} in its {name} list"
    with pytest.raises(UserError, match=message):
        score_set(tiny, [[0, 1], [0, 1]])
    with pytest.raises(UserError, match=message):
        verdicts(tiny, 1, [0])


def test_revisited_lists_must_not_overlap():
    tiny = _benchmark("revisited", 3, easy=[[0, 1, 1]], hard=[[2]], junk=[[1]])
    with pytest.raises(UserError, match=r"query 0 \(q0.jpg\) has row 1 in more than one"):
        score_set(tiny, [[0, 1, 2]])
    repeated = _benchmark("revisited", 3, easy=[[0, 0]], hard=[[2]], junk=[[1]])
    assert score_set(repeated, [[0, 1, 2]]).means["mAP (revisited, Medium)"] == 1.0


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([[0, 1]], r"rankings must be \(2, K\) integers"),
        ([0, 1], r"rankings must be \(2, K\) integers"),
        ([[0.0, 1.0], [1.0, 0.0]], "Received: float64"),
        ([[0, 1], [0, 3]], r"ranking of query 1 must hold rows in \[0, 3\)"),
        ([[0, 1], [-1, 1]], "with -1 only at its end"),
        ([[0, -2], [0, 1]], "ranking of query 0 must hold"),
        ([[0, 1], [2, 2]], "lists an item twice"),
    ],
)
def test_refuses_rankings_that_do_not_fit(rankings, message):
    tiny = _benchmark("oxford", 3, positives=[[0], [0]], junk=[[], []])
    with pytest.raises(ValueError, match=message):
        score_set(tiny, rankings)


def test_refuses_rows_and_protocols_that_do_not_exist():
    tiny = _benchmark("oxford", 3, positives=[[0]], junk=[[]])
    with pytest.raises(ValueError, match=r"rows must be in \[0, 3\)"):
        verdicts(tiny, 0, [0, -1])
    for bad in ("paris", "revisited"):
        with pytest.raises(ValueError, match="relevance lists don't fit its protocol"):
            score_set(dataclasses.replace(tiny, protocol=bad), [[0]])
