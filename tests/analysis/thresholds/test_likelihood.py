import numpy as np
import pytest

from rl_depth.analysis.thresholds import likelihood

INDEX = np.arange(9.0)


def test_noise_has_the_mean_and_variance_of_the_seeds(depths, noisy, stepped):
    series = likelihood.sample(depths, noisy(stepped(), seeds=6))
    drawn = likelihood.noise(series, series.counts, 20000, np.random.default_rng(0))
    variance = np.array([v.var(ddof=1) for v in series.values]) + (0.01 * series.span) ** 2
    assert drawn.means.mean(axis=0) == pytest.approx(np.zeros(9), abs=0.002)
    assert drawn.means.var(axis=0) == pytest.approx(variance / 6, rel=0.05)
    assert drawn.within.mean() == pytest.approx(5 * variance.sum(), rel=0.02)


def test_noise_can_have_other_seed_counts(depths, noisy, stepped):
    series = likelihood.sample(depths, noisy(stepped(), seeds=6))
    few, many = (likelihood.noise(series, np.full(9, n), 4000, np.random.default_rng(0)) for n in (2.0, 32.0))
    assert few.means.var(axis=0).sum() == pytest.approx(16 * many.means.var(axis=0).sum(), rel=0.1)


def test_the_ratio_is_that_of_residuals_with_parameters_charged(depths, noisy, stepped):
    values = noisy(stepped())
    series = likelihood.sample(depths, values)
    both = likelihood.contest(series.x, series.counts)
    found = both.ratio(likelihood.observed(series), 0.0)[0]
    means = values.mean(axis=1)
    levels = np.where(INDEX >= 4, means[4:].mean(), means[:4].mean())
    step = ((values - levels[:, None]) ** 2).sum()
    smooth = min(
        ((values - basis.predict(means, index)[:, None]) ** 2).sum()
        for basis, _ in both.smooth
        for index in range(len(basis.family.shapes))
        if basis.family.pair != "same" or np.prod(basis.amplitudes(means, index)) > 0
    )
    assert found == pytest.approx(45 * np.log(smooth / step))


def test_the_ratio_is_positive_for_a_step_and_negative_for_a_slope(depths, noisy, stepped):
    for curve, sign in ((stepped(), 1), (0.1 * INDEX, -1)):
        series = likelihood.sample(depths, noisy(curve))
        ratio = likelihood.contest(series.x, series.counts).ratio(likelihood.observed(series), 0.0)[0]
        assert np.sign(ratio) == sign


def test_a_series_is_sorted_in_depth_and_seeds():
    series = likelihood.sample([8, 2, 4], [[3.0, 1.0], [5.0], [0.0, -1.0]])
    assert series.x.tolist() == [1, 2, 3]
    assert [v.tolist() for v in series.values] == [[5.0], [-1.0, 0.0], [1.0, 3.0]]
    assert series.means.tolist() == [5.0, -0.5, 2.0]
    assert (series.within, series.span) == (2.5, 6.0)
    assert series.deviation == pytest.approx(np.sqrt(2.5 / 2))
