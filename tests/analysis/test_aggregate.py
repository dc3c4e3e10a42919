"""Golden numbers are rliable 1.2.0's (with arch 7.2.0), computed once on the same arrays."""

import numpy as np
import pytest

from analysis import aggregate

X = np.array([[0.12, 0.55, 0.90], [0.18, 0.61, 0.85], [0.25, 0.50, 0.97], [0.09, 0.72, 0.88], [0.31, 0.58, 0.79], [0.22, 0.58, 0.93]])  # fmt: skip  # noqa: E501
Y = np.array([[0.10, 0.40, 0.90], [0.20, 0.61, 0.80], [0.15, 0.45, 0.95], [0.05, 0.52, 0.70], [0.12, 0.58, 0.91]])
THRESHOLDS = np.array([0, 0.2, 0.5, 0.58, 0.9, 0.97, 1.0])


def test_iqm_is_rliables():
    assert aggregate.iqm(X) == pytest.approx(0.574)
    found = aggregate.iqm_interval(X, draws=20000)
    assert found.value == pytest.approx(0.574)
    assert (found.low, found.high) == pytest.approx((0.538, 0.613), abs=0.003)


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


def test_probability_of_improvement_is_rliables():
    assert aggregate.probability_of_improvement(X, Y) == pytest.approx(0.6722222222222222)
    assert aggregate.probability_of_improvement(Y, X) == pytest.approx(0.3277777777777778)
    found = aggregate.improvement_interval(X, Y, draws=20000)
    assert (found.low, found.high) == pytest.approx((0.47222222, 0.85555556), abs=0.015)


def test_probability_of_improvement_by_hand():
    assert aggregate.probability_of_improvement([1.0, 2.0], [0.0, 2.0]) == (1 + 0 + 1 + 0.5) / 4
    assert aggregate.probability_of_improvement(X, X) == pytest.approx(0.5)


def test_performance_profile_is_rliables():
    found = aggregate.performance_profile(X, THRESHOLDS, draws=5000)
    assert found.value == pytest.approx([1.0, 0.83333333, 0.61111111, 0.44444444, 0.11111111, 0.0, 0.0])
    assert found.low == pytest.approx([1.0, 0.72222222, 0.5, 0.33333333, 0.0, 0.0, 0.0], abs=1e-6)
    assert found.high == pytest.approx([1.0, 0.94444444, 0.66666667, 0.55555556, 0.22222222, 0.0, 0.0], abs=1e-6)


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
        aggregate.probability_of_improvement(X, Y[:, :2])
