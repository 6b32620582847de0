import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.metrics import (
    landmarks_average_precision,
    mean_landmarks_scores,
    plain_average_precision,
)


def _ap_at_by_loop(ranking, positives, cutoff):
    total, hits = 0.0, 0
    for rank in range(1, min(cutoff, len(ranking)) + 1):
        if ranking[rank - 1] in positives:
            hits += 1
            total += hits / rank
    return total / min(len(positives), cutoff)


@settings(max_examples=50)
@given(
    st.permutations(range(20)),
    st.sets(st.integers(0, 30), min_size=1),
    st.integers(0, 20),
    st.integers(1, 25),
)
def test_agrees_with_the_loop(ranking, positives, length, cutoff):
    ranking = list(ranking)[:length]
    score = landmarks_average_precision(ranking, positives, cutoff)
    assert score == pytest.approx(_ap_at_by_loop(ranking, positives, cutoff), abs=1e-12)
    assert 0.0 <= score <= 1.0
    assert landmarks_average_precision(ranking[:cutoff], positives, cutoff) == score
    assert landmarks_average_precision(ranking, [*positives] * 2, cutoff) == score


def test_only_a_hundred_ranks_count():
    positives = list(range(500))
    assert landmarks_average_precision(range(500), positives) == 1.0
    assert landmarks_average_precision([*range(1000, 1100), 0], positives) == 0.0
    # Rank 100 is the last: 1/100 of a hit over min(500, 100) positives.
    late = [*range(1000, 1099), 0]
    assert landmarks_average_precision(late, positives) == pytest.approx(1e-4)


def test_below_the_cutoff_it_is_the_plain_average_precision():
    ranking, positives = ["b", "a", "d", "c"], {"a", "c", "z"}
    expected = plain_average_precision(ranking, positives)
    assert landmarks_average_precision(ranking, positives) == expected


def test_means_count_queries_without_a_ranking_as_zero_and_leave_out_ignored_ones():
    positives = {"q": ["a"], "r": ["b", "c"], "missing": ["a"], "ignored": []}
    rankings = {"q": ["x", "a"], "r": ["b", "c"], "ignored": ["a"]}
    assert mean_landmarks_scores(rankings, positives) == {"mAP@100 (GLDv2)": 0.5}
    assert mean_landmarks_scores(rankings, positives, cutoff=1) == {
        "mAP@1 (GLDv2)": pytest.approx(1 / 3)
    }


def test_refuses_unknown_queries_and_empty_ground_truth():
    with pytest.raises(UserError, match="the ranked query z is not in the ground truth"):
        mean_landmarks_scores({"z": ["a"]}, {"q": ["a"]})
    with pytest.raises(UserError, match="none of the 1 queries has a positive"):
        mean_landmarks_scores({}, {"q": []})


def test_refuses_bad_arguments():
    assert math.isnan(landmarks_average_precision(["a"], []))
    with pytest.raises(ValueError, match=r"cutoff must be at least 1\. Received: 0"):
        landmarks_average_precision(["a"], ["a"], 0)
    with pytest.raises(ValueError, match="lists an item twice"):
        landmarks_average_precision(["a", "a"], ["a"])
