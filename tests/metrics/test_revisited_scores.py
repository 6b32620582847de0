import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.metrics import average_precision, revisited_scores
from tests.metrics import oracles

SETTINGS = {"Easy": ("e", "hj"), "Medium": ("eh", "j"), "Hard": ("h", "ej")}


@st.composite
def cases(draw):
    """A full ranking of 1 to 25 items, and what each is: easy, hard, junk or negative."""
    n = draw(st.integers(1, 25))
    kinds = draw(st.lists(st.sampled_from("ehjn"), min_size=n, max_size=n))
    lists = {kind: [i for i, k in enumerate(kinds) if k == kind] for kind in "ehjn"}
    return draw(st.permutations(range(n))), lists


def _joined(lists, kinds):
    return [item for kind in kinds for item in lists[kind]]


@given(cases())
def test_agrees_with_the_loops(case):
    ranking, lists = case
    scores = revisited_scores(ranking, lists["e"], lists["h"], lists["j"])
    assert len(scores) == 12
    for setting, (right, skipped) in SETTINGS.items():
        positives, junk = _joined(lists, right), _joined(lists, skipped)
        if not positives:
            assert math.isnan(scores[f"ap ({setting})"])
            assert all(math.isnan(scores[f"p@{k} ({setting})"]) for k in (1, 5, 10))
            continue
        expected = oracles.oxford_ap(ranking, positives, junk)
        assert scores[f"ap ({setting})"] == pytest.approx(expected, abs=1e-12)
        for k in (1, 5, 10):
            expected = oracles.revisited_precision(ranking, positives, junk, k)
            assert scores[f"p@{k} ({setting})"] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(cases(), st.integers(0, 25))
def test_a_truncated_ranking_has_the_precision_of_the_full_one(case, length):
    """As long as k ranks are left besides the junk; the average precision can only fall."""
    ranking, lists = case
    full = revisited_scores(ranking, lists["e"], lists["h"], lists["j"])
    cut = revisited_scores(ranking[:length], lists["e"], lists["h"], lists["j"])
    for setting, (right, skipped) in SETTINGS.items():
        if not _joined(lists, right):
            continue
        assert cut[f"ap ({setting})"] <= full[f"ap ({setting})"]
        left = len(set(ranking[:length]) - set(_joined(lists, skipped)))
        for k in (1, 5, 10):
            if left >= k:
                assert cut[f"p@{k} ({setting})"] == full[f"p@{k} ({setting})"]


@settings(max_examples=40)
@given(cases())
def test_repetitions_in_the_ground_truth_change_nothing(case):
    ranking, lists = case
    once = revisited_scores(ranking, lists["e"], lists["h"], lists["j"])
    twice = revisited_scores(ranking, lists["e"] * 2, lists["h"] * 2, lists["j"] * 2)
    assert twice == pytest.approx(once, nan_ok=True, abs=0)


@settings(max_examples=40)
@given(cases())
def test_a_perfect_ranking_scores_one_in_each_setting_it_has(case):
    ranking, lists = case
    ranking = [*lists["h"], *lists["j"], *lists["e"], *lists["n"]]
    scores = revisited_scores(ranking, lists["e"], lists["h"], lists["j"])
    assert all(value == 1.0 or math.isnan(value) for value in scores.values())


def test_values_by_hand():
    # n e j h n h, with e and h's relevant. Easy, of "n e n": e at rank 2, AP = (0 + 1/2) / 2.
    # Medium, of "n e h n h": ranks 2, 3, 5: (1/2 + (1/2 + 2/3) + (2/4 + 3/5)) / 2 / 3 = 83/180.
    # Hard, of "n h n h": ranks 2, 4: (1/2 + (1/3 + 2/4)) / 2 / 2 = 1/3.
    ranking, easy, hard, junk = [10, 1, 20, 2, 11, 3], [1], [2, 3], [20]
    scores = revisited_scores(ranking, easy, hard, junk)
    assert scores["ap (Easy)"] == 0.25
    assert scores["ap (Medium)"] == pytest.approx(83 / 180)
    assert scores["ap (Hard)"] == pytest.approx(1 / 3)
    assert [scores[f"p@{k} (Easy)"] for k in (1, 5, 10)] == [0.0, 0.5, 0.5]
    assert [scores[f"p@{k} (Medium)"] for k in (1, 5, 10)] == [0.0, 0.6, 0.6]
    assert [scores[f"p@{k} (Hard)"] for k in (1, 5, 10)] == [0.0, 0.5, 0.5]


def test_hard_images_are_junk_in_easy_and_easy_ones_in_hard():
    scores = revisited_scores(["h", "e"], ["e"], ["h"])
    assert scores["ap (Easy)"] == scores["ap (Medium)"] == scores["ap (Hard)"] == 1.0
    # As negatives they would cost: this is what the settings must not do.
    assert average_precision(["h", "e"], ["e"]) == 0.25


def test_without_hard_images_only_the_hard_setting_has_no_score():
    scores = revisited_scores([3, 1], [1], [], [3])
    missing = {name for name, value in scores.items() if math.isnan(value)}
    assert missing == {"ap (Hard)", "p@1 (Hard)", "p@5 (Hard)", "p@10 (Hard)"}
    assert scores["ap (Medium)"] == 1.0


def test_nothing_found_scores_zero():
    scores = revisited_scores([3, 4], [1], [2], cutoffs=(1, 10))
    assert set(scores.values()) == {0.0}


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match=r"cutoffs must be at least 1\. Received: \(5, 0\)"):
        revisited_scores([1], [1], [], cutoffs=(5, 0))
    with pytest.raises(ValueError, match="lists an item twice"):
        revisited_scores([1, 1], [1], [])
