"""Agreement with rliable, recorded by ``golden/record.py``, and values worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_depth.analysis import aggregate

CASES = json.loads(Path(__file__).with_name("golden").joinpath("rliable.json").read_text())["cases"]
X = np.array(CASES["three tasks"]["x"])

# Two bootstraps of the same data differ by this share of the interval's width.
DRAWS, SHARE = 10_000, 0.03


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def assert_interval(found, low, high):
    assert (found.low, found.high) == pytest.approx((low, high), abs=SHARE * (high - low))


def test_iqm_is_rliables(case):
    found = aggregate.iqm_interval(case["x"], draws=DRAWS)
    assert aggregate.iqm(case["x"]) == found.value == pytest.approx(case["iqm"], rel=1e-12)
    assert_interval(found, *case["iqm_interval"])


def test_probability_of_improvement_is_rliables(case):
    found = aggregate.improvement_interval(case["x"], case["y"], draws=DRAWS)
    assert found.value == pytest.approx(case["improvement"], rel=1e-12)
    assert aggregate.probability_of_improvement(case["y"], case["x"]) == pytest.approx(1 - case["improvement"])
    assert_interval(found, *case["improvement_interval"])


def test_performance_profile_is_rliables(case):
    found = aggregate.performance_profile(case["x"], case["thresholds"], draws=5_000)
    low, high = np.array(case["profile_interval"])
    step = 1 / np.size(case["x"])
    assert found.value == pytest.approx(np.array(case["profile"]), abs=1e-12)
    assert found.low == pytest.approx(low, abs=step + 1e-9)
    assert found.high == pytest.approx(high, abs=step + 1e-9)


def test_mean_intervals():
    rng = np.random.default_rng(0)
    values = rng.normal([0.0, 5.0], [1.0, 3.0], (400, 2))
    found = aggregate.mean_interval(values, draws=5000)
    assert found.value == pytest.approx(values.mean(axis=0))
    half = 1.96 * values.std(axis=0) / 20  # the normal interval, at 400 seeds
    assert found.low == pytest.approx(values.mean(axis=0) - half, abs=0.03)
    assert found.high == pytest.approx(values.mean(axis=0) + half, abs=0.03)
    three = aggregate.mean_interval(np.array([[1.0], [2.0], [6.0]]))
    assert (three.low, three.value, three.high) == (1.0, 3.0, 6.0)
    with pytest.raises(ValueError, match="shape"):
        aggregate.mean_interval(np.zeros(3))


def test_iqm_by_hand():
    assert aggregate.iqm(np.array([100.0, 1, 2, -50])) == 1.5


def test_probability_of_improvement_by_hand():
    assert aggregate.probability_of_improvement([1.0, 2.0], [0.0, 2.0]) == (1 + 0 + 1 + 0.5) / 4
    assert aggregate.probability_of_improvement(X, X) == pytest.approx(0.5)


def test_a_contrast_knows_which_way_is_better():
    low, high = np.array([0.1, 0.2, 0.3, 0.2, 0.2]), np.array([0.8, 0.7, 0.9, 0.8, 0.8])
    found = aggregate.contrast(high, low)
    assert found.difference.value == pytest.approx(0.6)
    assert found.difference.low <= 0.6 <= found.difference.high
    assert found.improvement.value == 1
    found = aggregate.contrast(high, low, lower_is_better=True)
    assert found.difference.value == pytest.approx(0.6)
    assert found.improvement.value == 0


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_few_seeds_have_neither_interval_nor_p(seeds):
    found = aggregate.contrast([0.4] * seeds, [0.1, 0.2] * 3)
    assert found.p is None
    assert found.to_json()["difference"]["value"] == pytest.approx(0.25)
    assert found.to_json()["difference"]["low"] is found.to_json()["improvement"]["high"] is None


def test_thousands_of_seeds_are_compared_in_little_memory():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(3000) + 0.1, rng.standard_normal(3000)
    found = aggregate.contrast(x, y)
    assert found.improvement.high - found.improvement.low == pytest.approx(0.03, abs=0.005)
    assert found.improvement.value == pytest.approx((x[:, None] > y).mean())
    assert max(aggregate._batches(2000, 10_000)) * 10_000 <= 4_000_000
    assert sum(aggregate._batches(2000, 10_000)) == 2000


def test_intervals_cover_and_repeat():
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(100):
        found = aggregate.iqm_interval(rng.standard_normal((20, 1)), draws=300)
        inside.append(found.low <= 0 <= found.high)
    assert np.mean(inside) > 0.85
    assert aggregate.iqm_interval(X, seed=4) == aggregate.iqm_interval(X, seed=4)


@pytest.mark.parametrize("scores", [np.zeros((2, 2, 2)), np.array([]), np.array([1.0, np.nan])])
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(ValueError, match="scores"):
        aggregate.iqm(scores)


def test_different_tasks_are_refused():
    with pytest.raises(ValueError, match="3 tasks against 2"):
        aggregate.probability_of_improvement(X, X[:, :2])
