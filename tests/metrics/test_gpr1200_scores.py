import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.metrics import (
    gpr1200_domains,
    plain_average_precision,
)
from tests.metrics import oracles


@settings(max_examples=30)
@given(st.permutations(range(20)), st.sets(st.integers(0, 19), min_size=1), st.integers(0, 20))
def test_truncated_rankings_agree_with_the_loop(ranking, positives, length):
    ranking = list(ranking)[:length]
    score = plain_average_precision(ranking, positives)
    assert score == pytest.approx(oracles.plain_ap(ranking, positives), abs=1e-12)


def test_the_query_itself_is_one_of_ten():
    # The query finds itself, and the nine others come behind 11,990 wrong images:
    # (1 + sum_{j=2}^{10} j / (11990 + j)) / 10.
    ranking = [0, *range(10, 12000), *range(1, 10)]
    expected = (1 + sum(j / (11990 + j) for j in range(2, 11))) / 10
    assert plain_average_precision(ranking, range(10)) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.1


def test_without_positives_there_is_no_score():
    assert math.isnan(plain_average_precision([1], []))


def test_domains_are_two_hundred_categories_each():
    names = [f"images/{category}_x_1.jpg" for category in range(1200)]
    domains = gpr1200_domains(names)
    assert [domains[i] for i in (0, 199, 200, 400, 600, 800, 999, 1000, 1199)] == [
        "Landmarks",
        "Landmarks",
        "iNaturalist",
        "ImageNet Sketch",
        "INSTRE",
        "SOP",
        "SOP",
        "Faces",
        "Faces",
    ]
    assert all(domains.count(domain) == 200 for domain in set(domains))


@pytest.mark.parametrize("name", ["cat_1.jpg", "1200_a.jpg", "7.jpg", "-1_a.jpg", "²_a.jpg", "_a"])
def test_other_names_have_no_domain(name):
    assert gpr1200_domains(["3_a.jpg", name]) is None
