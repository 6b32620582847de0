import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.metrics import average_precision, plain_average_precision
from tests.metrics import oracles

# Positives of Oxford5k's eleven landmarks in the ground truth's order, five queries each: All
# Souls, Ashmolean, Balliol, Bodleian, Christ Church, Cornmarket, Hertford, Keble, Magdalen, Pitt
# Rivers, Radcliffe Camera.
OXFORD_POSITIVES = (78, 25, 12, 24, 78, 9, 54, 7, 54, 6, 221)

# Mean of the official tool's 55 values of each system, to six digits.
SYSTEMS = {
    "orb_knn_top100": 0.133174,
    "orb_top2000": 0.148748,
    "resnet18_noval": 0.356621,
    "sift_knn_top100": 0.223344,
    "sift_top2000_k20_bfcrosscheck": 0.246787,
    "sift_top50_k20_flann_ratio": 0.143577,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name} in a file of lists, strings and numbers")


@pytest.fixture(scope="module")
def oxford(shared_data):
    with (shared_data / "ground_truth" / "gnd_oxford5k.pkl").open("rb") as file:
        return _PlainUnpickler(file).load()


@pytest.fixture(scope="module")
def official(shared_data):
    path = shared_data / "ground_truth" / "oxford5k_official_ap_rankings.npz"
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@st.composite
def cases(draw):
    """A ranking of 1 to 25 items, a non-empty set of positives among them and one of junk."""
    n = draw(st.integers(1, 25))
    kinds = draw(st.lists(st.sampled_from("pnj"), min_size=n, max_size=n))
    kinds[draw(st.integers(0, n - 1))] = "p"
    of_kind = {kind: [i for i, k in enumerate(kinds) if k == kind] for kind in "pnj"}
    return draw(st.permutations(range(n))), of_kind["p"], of_kind["j"]


def test_every_system_of_the_official_file_is_tested(official):
    assert {key[len("ranks_") :] for key in official if key.startswith("ranks_")} == set(SYSTEMS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_official_oxford_values(oxford, official, system):
    ranks, expected = official[f"ranks_{system}"], official[f"ap_{system}"]
    got = [
        average_precision(ranking[ranking >= 0], truth["ok"], truth["junk"])
        for ranking, truth in zip(ranks, oxford["gnd"], strict=True)
    ]
    assert len(got) == 55
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert np.mean(got) == pytest.approx(SYSTEMS[system], abs=1e-6)


def test_official_values_tell_this_measure_from_its_neighbours(oxford, official):
    """Without these gaps the golden test could not fail for the mistakes it is there for."""
    expected = official["ap_resnet18_noval"]
    others = {"plain": [], "junk as misses": [], "own image as junk": []}
    for ranking, truth, own in zip(
        official["ranks_resnet18_noval"], oxford["gnd"], oxford["qidx"], strict=True
    ):
        kept = [row for row in ranking.tolist() if row not in set(truth["junk"])]
        others["plain"].append(plain_average_precision(kept, truth["ok"]))
        others["junk as misses"].append(average_precision(ranking, truth["ok"]))
        without_own = [row for row in truth["ok"] if row != own]
        skipped = [*truth["junk"], own]
        others["own image as junk"].append(average_precision(ranking, without_own, skipped))
    for name, values in others.items():
        assert np.abs(np.array(values) - expected).max() > 1e-3, name


def test_official_value_from_names_with_a_repetition(oxford, official, shared_data):
    """The published list of All Souls names an image twice, and the official tool makes it a set.

    25 lines are 24 "good" images; with the 54 "ok" ones that makes the 78 positives.
    """
    good = (shared_data / "ground_truth" / "oxford_all_souls_1_good.txt").read_text().split()
    assert (len(good), len(set(good))) == (25, 24)
    names, truth = np.array(oxford["imlist"]), oxford["gnd"][0]
    ok = [name for name in names[truth["ok"]] if name not in good]
    assert len(ok) == 54
    for system in SYSTEMS:
        ranking = names[official[f"ranks_{system}"][0]]
        score = average_precision(ranking, [*good, *ok], names[truth["junk"]])
        assert score == pytest.approx(official[f"ap_{system}"][0], abs=1e-6)


def test_numbers_of_oxford_positives(oxford):
    numbers = [len(set(truth["ok"])) for truth in oxford["gnd"]]
    assert numbers == [n for n in OXFORD_POSITIVES for _ in range(5)]
    assert sum(OXFORD_POSITIVES) == 568


@given(cases(), st.integers(0, 25))
def test_agrees_with_the_loop(case, length):
    ranking, positives, junk = case
    expected = oracles.oxford_ap(ranking[:length], positives, junk)
    assert average_precision(ranking[:length], positives, junk) == pytest.approx(
        expected, abs=1e-12
    )


@settings(max_examples=30)
@given(cases())
def test_names_score_as_numbers_do(case):
    ranking, positives, junk = case
    names = [[f"image_{i}.jpg" for i in items] for items in case]
    assert average_precision(*names) == average_precision(ranking, positives, junk)
    arrays = [np.array(items, dtype="U") for items in names]
    assert average_precision(*arrays) == average_precision(ranking, positives, junk)


@settings(max_examples=30)
@given(cases(), st.randoms(use_true_random=False))
def test_order_below_the_last_positive_does_not_matter(case, random):
    ranking, positives, junk = case
    last = max(i for i, item in enumerate(ranking) if item in positives)
    tail = list(ranking[last + 1 :])
    random.shuffle(tail)
    expected = average_precision(ranking, positives, junk)
    assert average_precision([*ranking[: last + 1], *tail], positives, junk) == expected
    assert average_precision(ranking[: last + 1], positives, junk) == expected


@settings(max_examples=30)
@given(cases(), st.lists(st.integers(0, 25), max_size=5))
def test_junk_anywhere_changes_nothing(case, places):
    ranking, positives, junk = case
    more = list(ranking)
    for number, place in enumerate(places):
        more.insert(place, 1000 + number)
    added = [1000 + number for number in range(len(places))]
    expected = average_precision(ranking, positives, junk)
    assert average_precision(more, positives, [*junk, *added]) == expected
    unranked = average_precision(ranking, positives, [*junk, 2000])
    assert unranked == expected


@settings(max_examples=30)
@given(cases())
def test_repetitions_in_the_ground_truth_change_nothing(case):
    ranking, positives, junk = case
    once = average_precision(ranking, positives, junk)
    assert average_precision(ranking, positives * 2, junk * 3) == once
    assert average_precision(ranking, set(positives), set(junk)) == once


@settings(max_examples=30)
@given(cases())
def test_a_perfect_ranking_and_only_it_scores_one(case):
    ranking, positives, junk = case
    score = average_precision(ranking, positives, junk)
    assert 0.0 <= score <= 1.0
    kept = [item for item in ranking if item not in junk]
    assert (score == 1.0) == (set(kept[: len(positives)]) == set(positives))
    perfect = sorted(ranking, key=lambda item: item not in positives)
    assert average_precision(perfect, positives, junk) == 1.0


@settings(max_examples=30)
@given(cases(), st.integers(0, 25))
def test_truncation_never_raises_the_score(case, length):
    ranking, positives, junk = case
    whole = average_precision(ranking, positives, junk)
    assert average_precision(ranking[:length], positives, junk) <= whole


@settings(max_examples=30)
@given(cases())
def test_never_above_the_plain_average_precision(case):
    ranking, positives, _ = case
    plain = plain_average_precision(ranking, positives)
    trapezoid = average_precision(ranking, positives)
    assert trapezoid <= plain + 1e-12
    first = [item in positives for item in ranking]
    misses_before_a_hit = False in first[: len(first) - first[::-1].index(True)]
    assert (plain - trapezoid > 1e-9) == misses_before_a_hit


@settings(max_examples=30)
@given(cases(), st.data())
def test_moving_a_positive_up_never_lowers_the_score(case, data):
    ranking, positives, junk = case
    item = data.draw(st.sampled_from(positives))
    place = ranking.index(item)
    up = [i for i in ranking if i != item]
    up.insert(data.draw(st.integers(0, place)), item)
    assert average_precision(up, positives, junk) >= average_precision(ranking, positives, junk)


def test_values_by_hand():
    # One positive at rank 3: (0/2 + 1/3) / 2.
    assert average_precision([5, 6, 7], [7]) == pytest.approx(1 / 6)
    # Hits at ranks 1 and 3 of three positives: (1 + (1/2 + 2/3) / 2) / 3 = 19/36.
    assert average_precision([1, 9, 2], [1, 2, 3]) == pytest.approx(19 / 36)
    # Junk before, between and behind: only the ranks 1 and 2 are left.
    assert average_precision([8, 1, 9, 2, 7], [1, 2], [7, 8, 9]) == 1.0


def test_what_is_positive_and_junk_is_skipped_but_stays_in_the_divisor():
    assert average_precision([1, 2], [1, 2], junk=[1]) == 0.5
    assert oracles.oxford_ap([1, 2], [1, 2], junk=[1]) == 0.5


def test_empty_rankings_and_empty_positives():
    assert average_precision([], [3]) == 0.0
    assert average_precision([], ["a"], {"b"}) == 0.0
    assert average_precision([4], [4], [4]) == 0.0
    assert math.isnan(average_precision([1, 2], []))
    assert math.isnan(average_precision([], [], [1]))


@pytest.mark.parametrize("ranking", [[1, 2, 1], ["a", "b", "a"], np.array([2, 0, 0], np.int16)])
def test_refuses_a_ranking_with_repetitions(ranking):
    with pytest.raises(ValueError, match=r"lists an item twice\. Received: [01a] 2 times among 3"):
        average_precision(ranking, ranking[:1])


def test_refuses_what_is_neither_integers_nor_names():
    with pytest.raises(ValueError, match=r"flat list of integers or names\. Received: float64"):
        average_precision([0.5, 1.0], [1])
    with pytest.raises(ValueError, match=r"Received: int64 of shape \(1, 2\)"):
        average_precision([[1, 2]], [1])
    with pytest.raises(ValueError, match="positives and the ranking must both hold integers"):
        average_precision([1, 2], ["1"])
    with pytest.raises(ValueError, match="junk and the ranking must both hold integers"):
        average_precision(["1"], ["1"], [1])


def test_a_million_ranks_take_no_loop():
    rng = np.random.default_rng(5)
    ranking = rng.permutation(1_000_000)
    positives, junk = rng.choice(1_000_000, (2, 200), replace=False)
    lines = 0

    def count(frame, event, _):
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        score = average_precision(ranking, positives, junk)
    finally:
        sys.settrace(before)
    # Far fewer lines of Python than ranks, whatever NumPy does in Python around its loops.
    assert 0 < lines < 1000
    rank_of = np.argsort(ranking)
    ranks = np.sort(rank_of[positives])
    ranks = ranks - np.searchsorted(np.sort(rank_of[junk]), ranks)
    j = np.arange(200)
    assert score == pytest.approx(np.mean(j / ranks + (j + 1) / (ranks + 1)) / 2, abs=1e-12)
