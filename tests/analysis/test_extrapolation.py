"""How far a loop carries, on curves whose answer is known."""

import numpy as np
import pytest

from rl_depth.analysis.extrapolation import extrapolation

DEPTHS = np.array([4, 8, 16, 32, 64, 128, 256])
STILL = {"step": np.full((5, 64), 1e-6), "size": np.ones((5, 64))}
MOVING = {"step": np.full((5, 64), 0.1), "size": np.ones((5, 64))}
GROWING = {"step": np.full((5, 64), 0.1), "size": np.linspace(1, 64, 64)[None].repeat(5, 0)}


def curve(levels, noise=0.02, seed=0):
    generator = np.random.default_rng(seed)
    return np.array(levels) + generator.normal(0, noise, (5, len(levels))) + generator.normal(0, 0.1, (5, 1))


def test_a_plateau_that_ends_is_found_with_its_ratio():
    found = extrapolation(DEPTHS, curve([0.2, 0.9, 0.9, 0.9, 0.9, 0.3, 0.1]), 16, MOVING, 4)
    assert (found.reach, found.ratio) == (64, 4.0)
    assert found.low <= 4.0 <= found.high
    assert (found.breakdown, found.breaks_at) == ("drifts", 128)
    assert found.best == pytest.approx(0.9, abs=0.1) and 0.04 < found.noise < 0.1


def test_seeds_that_differ_as_a_whole_are_no_noise_between_depths():
    values = curve([0.5, 0.9, 0.9, 0.7, 0.7, 0.7, 0.7], noise=0.005)
    assert extrapolation(DEPTHS, values, 16, STILL, 4).reach == 16


def test_holding_to_the_end_and_the_ways_to_break():
    found = extrapolation(DEPTHS, curve([0.9] * 7), 16, MOVING, 4)
    assert (found.breakdown, found.breaks_at) == ("holds", None)
    falling = curve([0.9, 0.9, 0.9, 0.5, 0.2, 0.1, 0.1])
    for latents, name in ((STILL, "freezes"), (MOVING, "drifts"), (GROWING, "diverges")):
        assert extrapolation(DEPTHS, falling, 16, latents, 4).breakdown == name
    broken = {"step": MOVING["step"], "size": np.full((5, 64), np.nan)}
    assert extrapolation(DEPTHS, falling, 16, broken, 4).breakdown == "diverges"


def test_a_seed_that_collapses_beyond_the_trained_depths_is_no_noise():
    values = curve([0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], noise=0.01)
    values[0, 5:] = [0.3, 0.1]
    found = extrapolation(DEPTHS, values, 32, GROWING, 4)
    assert (found.reach, found.breakdown) == (64, "diverges")


def test_a_fall_that_hardly_matters_does_not_count():
    values = np.array([0.8, 0.8, 0.8, 0.79, 0.78, 0.77, 0.7])[None].repeat(3, 0)
    found = extrapolation(DEPTHS, values, 16, MOVING, 4)
    assert (found.reach, found.breaks_at) == (128, 256)
    assert found.noise == pytest.approx(0.04)


def test_falls_by_chance_alone_are_rare():
    """Flat curves of three noisy seeds: the tolerance is exceeded at the deepest test in few draws."""
    rng = np.random.default_rng(0)
    flat = [rng.normal(0.8, 0.05, (3, 7)) for _ in range(300)]
    held = np.mean([extrapolation(DEPTHS, values, 32, MOVING, 4).reach == 256 for values in flat])
    assert held > 0.8


def test_distances_are_better_when_small():
    values = curve([5.0, 1.0, 1.0, 1.0, 3.0, 4.0, 5.0])
    found = extrapolation(DEPTHS, values, 16, MOVING, 4, higher_is_better=False)
    assert found.reach == 32
    assert found.best == pytest.approx(1.0, abs=0.1)


def test_one_seed_has_no_interval_and_bad_shapes_are_refused():
    found = extrapolation(DEPTHS, curve([0.9] * 7)[:1], 16, MOVING, 4)
    assert found.low is None and found.high is None
    with pytest.raises(ValueError, match="shape"):
        extrapolation(DEPTHS, np.zeros((5, 3)), 16, MOVING, 4)


def test_an_agent_that_can_do_nothing_carries_nothing():
    found = extrapolation(np.array([4, 8, 16]), np.zeros((3, 3)), 8, MOVING, 4)
    assert (found.breakdown, found.reach, found.ratio, found.low) == ("no capability", 0, 0.0, None)
    by_chance = np.array([[0.0, 0.03, 0.0], [0.0, 0.0, 0.0], [0.03, 0.0, 0.0]])
    assert extrapolation(np.array([4, 8, 16]), by_chance, 8, MOVING, 4).breakdown == "no capability"
    assert extrapolation(np.array([4, 8, 16]), np.zeros((1, 3)), 8, MOVING, 4).breakdown == "no capability"


def test_what_is_no_number_diverges_and_never_holds():
    depths = np.array([4, 8, 16])
    distances = np.array([[0.1, 0.2, np.nan], [0.1, 0.2, np.nan]])
    found = extrapolation(depths, distances, 8, MOVING, 4, higher_is_better=False)
    assert (found.best_depth, found.reach, found.breaks_at) == (4, 4, 8)
    found = extrapolation(depths, distances[:, [0, 0, 2]], 8, MOVING, 4, higher_is_better=False)
    assert (found.best, found.reach, found.breakdown) == (pytest.approx(0.1), 8, "diverges")
    success = np.array([[0.8, 0.8, 0.8], [0.8, 0.8, np.nan]])
    assert extrapolation(depths, success, 8, MOVING, 4).breakdown == "diverges"
    found = extrapolation(depths, np.full((2, 3), np.nan), 8, MOVING, 4)
    assert (found.breakdown, found.best, found.reach) == ("diverges", None, 0)
