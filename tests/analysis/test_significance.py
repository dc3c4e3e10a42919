"""What is called better and worse, checked on data where nothing is."""

import numpy as np
import pytest
from scipy import stats

from rl_depth.analysis import significance
from rl_depth.analysis.significance import adjusted, outcome, rank_test


def test_the_exact_test_agrees_with_scipy_where_nothing_ties():
    rng = np.random.default_rng(0)
    for sizes in ((5, 5), (5, 8), (7, 6)):
        x, y = rng.standard_normal(sizes[0]) + 0.8, rng.standard_normal(sizes[1])
        exact = stats.mannwhitneyu(x, y, method="exact").pvalue
        assert rank_test(x, y) == pytest.approx(exact)


def test_ties_by_hand():
    # Of 252 ways to deal, the two extreme ones alone are as far apart.
    assert rank_test([1.0] * 5, [0.0] * 5) == pytest.approx(2 / 252)
    assert rank_test([0.5] * 5, [0.5] * 5) == 1.0


@pytest.mark.parametrize("few", [1, 2, 3, 4])
def test_fewer_than_five_seeds_are_not_tested(few):
    assert rank_test(np.ones(few), np.zeros(20)) is None
    assert outcome(None, improves=True) == "too few seeds"


@pytest.mark.parametrize("seeds", [5, 6, 8, 12])
@pytest.mark.parametrize("episodes", [None, 32])
def test_the_error_rate_is_the_stated_one(seeds, episodes):
    """Of single comparisons at most 5% of nulls are called, whether values are continuous or shares that tie."""
    rng = np.random.default_rng(seeds)
    draws = rng.standard_normal((1000, 2, seeds)) if episodes is None else rng.binomial(32, 0.9, (1000, 2, seeds)) / 32
    called = np.mean([rank_test(x, y) < significance.LEVEL for x, y in draws])
    assert called <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_a_page_of_nulls_says_better_in_one_page_of_twenty():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(300):
        page = {i: rank_test(*rng.standard_normal((2, 8))) for i in range(12)}
        wrong += any(outcome(p, improves=True) == "better" for p in adjusted(page).values())
    assert wrong / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_holm_by_hand():
    found = adjusted({"a": 0.01, "b": 0.04, "c": None, "d": 0.03})
    assert found == {"a": pytest.approx(0.03), "b": pytest.approx(0.06), "c": None, "d": pytest.approx(0.06)}
    assert [outcome(0.03, improves=way) for way in (True, False)] == ["better", "worse"]
    assert outcome(0.06, improves=True) == "not told apart"


def test_how_many_seeds_many_comparisons_need():
    assert [significance.seeds_for(count) for count in (1, 6, 7, 23, 24)] == [5, 5, 6, 6, 7]


def test_a_large_effect_is_found_with_a_page_full_of_others():
    rng = np.random.default_rng(2)
    page = {i: rank_test(*rng.standard_normal((2, 8))) for i in range(11)}
    page["real"] = rank_test(rng.standard_normal(8) + 4, rng.standard_normal(8))
    assert adjusted(page)["real"] < significance.LEVEL
