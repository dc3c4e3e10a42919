import numpy as np
import pytest

from rl_depth.analysis.thresholds import curves
from rl_depth.analysis.thresholds.curves import Basis

X = np.arange(9.0)
EQUAL = np.full(9, 5.0)


@pytest.mark.parametrize("shape", [curves.logistic, curves.gompertz])
@pytest.mark.parametrize("doublings", [1.0, 2.0, 5.0])
def test_sigmoids_take_their_doublings_from_10_to_90_percent(shape, doublings):
    fine = np.linspace(-40, 40, 80001)
    curve = shape(fine, 0.3, doublings)
    assert np.interp(0.9, curve, fine) - np.interp(0.1, curve, fine) == pytest.approx(doublings, rel=1e-3)


def test_saturating_curves_take_two_doublings_or_more():
    fine = np.linspace(0, 200, 200001)
    rises = curves.saturating(fine).shapes[:12, 0]
    for curve in rises:
        share = (curve - curve[0]) / (curve[-1] - curve[0])
        doublings = np.interp(0.9, share, fine) - np.interp(0.1, share, fine)
        assert doublings >= curves.SMOOTH_DOUBLINGS - 1e-2


def test_doublings_of_humps_measures_the_faster_side():
    fine = np.linspace(-20, 20, 4001)
    slow_then_fast = curves.logistic(fine, -8.0, 4.0) - curves.logistic(fine, 8.0, 2.0)
    assert curves.doublings_of_humps(fine, slow_then_fast[None])[0] == pytest.approx(2.0, abs=0.05)


def test_no_smooth_family_holds_a_step_in_the_middle():
    step = (X >= 4).astype(float)
    total = 5 * ((step - step.mean()) ** 2).sum()
    for family in (curves.log_linear, curves.saturating, curves.sigmoid, curves.hump):
        assert Basis(family(X), EQUAL).fit(step[None]).gain[0] < 0.97 * total


@pytest.mark.parametrize("family", [curves.step, curves.step_then_back, curves.two_steps, curves.hump, curves.sigmoid])
def test_fit_agrees_with_least_squares(family):
    rng = np.random.default_rng(3)
    weights = rng.integers(2, 9, size=9).astype(float)
    found, means = Basis(family(X), weights), rng.standard_normal((4, 9))
    fit = found.fit(means)
    for b, index in enumerate(fit.index):
        columns = np.vstack([np.ones(9), found.family.shapes[index]]).T
        scale = np.sqrt(weights)
        solution, *_ = np.linalg.lstsq(columns * scale[:, None], means[b] * scale, rcond=None)
        centre = np.average(means[b], weights=weights)
        total = (weights * (means[b] - centre) ** 2).sum()
        residual = (weights * (means[b] - columns @ solution) ** 2).sum()
        assert fit.gain[b] == pytest.approx(total - residual)
        assert found.amplitudes(means[b], index) == pytest.approx(solution[1:], abs=1e-9)
        assert found.predict(means[b], index) == pytest.approx(columns @ solution, abs=1e-9)


def test_a_step_then_back_never_goes_on_in_the_direction_of_the_step():
    onwards = (X >= 3) + 0.2 * np.maximum(X - 3, 0)
    basis = Basis(curves.step_then_back(X), EQUAL)
    fit = basis.fit(onwards[None])
    first, second = basis.amplitudes(onwards, fit.index[0])
    assert first * second < 0 or fit.gain[0] == 0


def test_beside_keeps_given_steps_and_leaves_room_for_a_plateau():
    family = curves.beside(X, (4,), curves.step(X))
    assert sorted(family.steps[:, 1]) == [1, 2, 6, 7, 8]
    assert (family.steps[:, 0] == 4).all()
    assert family.free.tolist() == [False, True]
    both = 0.3 * (X >= 4) + 0.5 * (X >= 7)
    basis = Basis(family, EQUAL)
    index = basis.fit(both[None]).index[0]
    assert basis.largest_step(both, index) == 7
    assert basis.predict(both, index) == pytest.approx(both)


def test_shapes_that_coincide_with_the_constant_explain_nothing():
    fit = Basis(curves.constant(X), EQUAL).fit(X[None])
    assert fit.gain[0] == 0
