import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from darac_tf.errors import UserError
from darac_tf.metrics import (
    mean_scores,
    plain,
    plain_average_precision,
    precision_at_k,
    recall_at_k,
    retrieval_scores,
)
from tests.metrics import oracles


def _hits_by_loop(ranking, positives, k):
    hits = 0
    for item in ranking[:k]:
        hits += item in positives
    return hits


@st.composite
def _cases(draw):
    """A ranking of 1 to 30 items and a non-empty set of positives among them."""
    n = draw(st.integers(1, 30))
    ranking = draw(st.permutations(range(n)))
    positives = draw(st.sets(st.sampled_from(range(n)), min_size=1))
    return ranking, positives


def test_docstring_examples():
    result = doctest.testmod(plain)
    assert result.attempted >= 5
    assert result.failed == 0


@given(_cases(), st.integers(1, 35))
def test_single_query_scores_agree_with_loops(case, k):
    ranking, positives = case
    hits = _hits_by_loop(ranking, positives, k)
    assert plain_average_precision(ranking, positives) == pytest.approx(
        oracles.plain_ap(ranking, positives), abs=1e-12
    )
    assert precision_at_k(ranking, positives, k) == pytest.approx(hits / k, abs=1e-12)
    assert recall_at_k(ranking, positives, k) == (1.0 if hits else 0.0)


@settings(max_examples=30)
@given(_cases())
def test_average_precision_agrees_with_sklearn_on_distinct_scores(case):
    ranking, positives = case
    scores = -np.argsort(ranking)  # the score of an item falls with its rank
    truth = np.isin(np.arange(len(ranking)), list(positives))
    expected = average_precision_score(truth, scores)
    assert plain_average_precision(ranking, positives) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30)
@given(_cases(), st.randoms(use_true_random=False))
def test_order_below_the_last_positive_does_not_matter(case, random):
    ranking, positives = case
    last = max(i for i, item in enumerate(ranking) if item in positives)
    tail = list(ranking[last + 1 :])
    random.shuffle(tail)
    shuffled = list(ranking[: last + 1]) + tail
    expected = plain_average_precision(ranking, positives)
    assert plain_average_precision(shuffled, positives) == expected
    assert plain_average_precision(ranking[: last + 1], positives) == expected


@settings(max_examples=30)
@given(_cases())
def test_repeated_positives_count_once(case):
    ranking, positives = case
    once = plain_average_precision(ranking, positives)
    assert plain_average_precision(ranking, [*positives, *positives]) == once


@settings(max_examples=30)
@given(_cases())
def test_a_perfect_ranking_and_only_it_scores_one(case):
    ranking, positives = case
    perfect = sorted(ranking, key=lambda item: item not in positives)
    assert plain_average_precision(perfect, positives) == 1.0
    is_perfect = all(item in positives for item in ranking[: len(positives)])
    assert (plain_average_precision(ranking, positives) == 1.0) == is_perfect


def test_positives_beyond_a_truncated_ranking_count_as_missed():
    assert plain_average_precision([3, 1], [3, 8, 9, 10]) == 0.25
    assert plain_average_precision([], [3]) == 0.0
    assert recall_at_k([], [3], 5) == 0.0


def test_precision_divides_by_k_even_beyond_the_ranking():
    assert precision_at_k([4], [4], 5) == 0.2


def test_without_positives_there_is_no_score():
    assert math.isnan(plain_average_precision([1, 2], []))
    assert math.isnan(precision_at_k([1, 2], [], 1))
    assert math.isnan(recall_at_k([1, 2], [], 1))


def test_names_rank_as_well_as_numbers():
    assert plain_average_precision(["b.jpg", "a.jpg"], np.array(["a.jpg"])) == 0.5


@pytest.mark.parametrize("score", [plain_average_precision, lambda r, p: recall_at_k(r, p, 1)])
def test_refuses_a_ranking_with_repetitions(score):
    with pytest.raises(ValueError, match="lists an item twice"):
        score([1, 2, 1], [1])


@pytest.mark.parametrize("score", [precision_at_k, recall_at_k])
def test_refuses_a_cutoff_below_one(score):
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        score([1], [1], 0)


@st.composite
def _labelled(draw):
    """Labels of a small set, full rankings of it and the query rows (leave-one-out)."""
    labels = draw(st.lists(st.integers(0, 3), min_size=2, max_size=12))
    own = draw(st.lists(st.sampled_from(range(len(labels))), min_size=1, max_size=5))
    rankings = [draw(st.permutations(range(len(labels)))) for _ in own]
    length = draw(st.integers(1, len(labels)))
    return np.array(labels), np.array(own), np.array(rankings)[:, :length]


def _check_against_single_queries(scores, rankings, positives):
    for query, (ranking, expected) in enumerate(zip(rankings, positives, strict=True)):
        singles = {"ap": plain_average_precision(ranking, expected)}
        for k in (1, 5, 10):
            singles[f"p@{k}"] = precision_at_k(ranking, expected, k)
            singles[f"r@{k}"] = recall_at_k(ranking, expected, k)
        got = {name: values[query] for name, values in scores.items()}
        assert got == pytest.approx(singles, abs=1e-12, nan_ok=True)


@settings(max_examples=60)
@given(_labelled())
def test_leave_one_out_agrees_with_single_queries(case):
    labels, own, rankings = case
    scores = retrieval_scores(rankings, labels[own], labels, own_index=own)
    others = [[i for i in row if i != q] for row, q in zip(rankings.tolist(), own, strict=True)]
    positives = [set(np.flatnonzero(labels == labels[q]).tolist()) - {int(q)} for q in own]
    _check_against_single_queries(scores, others, positives)


@settings(max_examples=60)
@given(_labelled(), st.integers(0, 5))
def test_separate_queries_agree_with_single_queries(case, shift):
    labels, own, rankings = case
    query_labels = labels[own] + shift  # some labels are in no database image
    scores = retrieval_scores(rankings, query_labels, labels)
    positives = [set(np.flatnonzero(labels == label).tolist()) for label in query_labels]
    _check_against_single_queries(scores, rankings.tolist(), positives)


def test_blocks_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, 40)
    rankings = np.argsort(rng.random((40, 40)), axis=1)
    whole = retrieval_scores(rankings, labels, labels, own_index=np.arange(40))
    monkeypatch.setattr(plain, "_BLOCK_ENTRIES", 7 * 40)
    blocked = retrieval_scores(rankings, labels, labels, own_index=np.arange(40))
    assert all(np.array_equal(whole[name], blocked[name], equal_nan=True) for name in whole)


def test_string_labels_and_own_cutoffs():
    scores = retrieval_scores([[1, 0]], ["tower"], ["tower", "bridge"], cutoffs=(2,))
    assert {name: values.tolist() for name, values in scores.items()} == {
        "ap": [0.5],
        "p@2": [0.5],
        "r@2": [1.0],
    }


def test_means_leave_out_queries_without_positives():
    labels = np.array([0, 0, 1])
    rankings = np.array([[0, 2, 1], [1, 0, 2], [2, 1, 0]])
    scores = retrieval_scores(rankings, labels, labels, own_index=np.arange(3))
    assert all(np.isnan(values[2]) for values in scores.values())
    assert mean_scores(scores) == pytest.approx(
        {
            "mAP (plain)": 0.75,
            "P@1": 0.5,
            "P@5": 0.2,
            "P@10": 0.1,
            "R@1": 0.5,
            "R@5": 1.0,
            "R@10": 1.0,
        }
    )


def test_means_need_a_query_with_positives():
    scores = retrieval_scores([[1, 0], [0, 1]], [0, 1], [0, 1], own_index=[0, 1])
    with pytest.raises(UserError, match="none of the 2 queries has a positive"):
        mean_scores(scores)


@pytest.mark.parametrize(
    ("rankings", "own", "message"),
    [
        ([[0, 1]], None, "rankings must be .2, K."),
        ([0, 1], None, "rankings must be .2, K."),
        ([[0, 1], [0, 3]], None, "rankings must hold rows in .0, 3."),
        ([[0, 1], [-2, 1]], None, "rankings must hold rows in .0, 3."),
        ([[0, 1], [2, 2]], None, "ranking of query 1 lists a row twice"),
        ([[0, 1], [1, 2]], [0], "own_index needs one row a query"),
        ([[0, 1], [1, 2]], [0, -1], "own_index must hold rows in .0, 3."),
    ],
)
def test_refuses_rankings_that_do_not_fit(rankings, own, message):
    with pytest.raises(ValueError, match=message):
        retrieval_scores(rankings, [0, 1], [0, 1, 0], own_index=own)


def test_padding_at_the_end_is_no_rank():
    full = retrieval_scores([[2, 0]], [0], [0, 0, 1])
    padded = retrieval_scores([[2, 0, -1, -1], [-1, -1, -1, -1]], [0, 0], [0, 0, 1])
    for name, values in full.items():
        assert padded[name][0] == values[0]
        assert padded[name][1] == 0
    with pytest.raises(ValueError, match="at the end"):
        retrieval_scores([[-1, 0]], [0], [0, 1])
