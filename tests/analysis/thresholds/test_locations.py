import numpy as np
import pytest

from rl_depth.analysis.thresholds.curves import logistic
from rl_depth.analysis.thresholds.locations import compare_locations, critical_depth, difficulty_map

INDEX = np.arange(9.0)


def test_the_critical_depth_passes_half_of_the_best(depths, noisy, stepped):
    found = critical_depth(depths, noisy(stepped(0.6, 4)))
    assert (found.depth, found.low, found.high) == (64, 64, 64)
    assert found.level == pytest.approx(0.5, abs=0.08)
    assert found.verdict.verdict == "jump"


def test_it_exists_on_gradual_curves_with_a_wider_interval(depths, noisy):
    found = critical_depth(depths, noisy(INDEX / 8, deviation=0.2))
    assert found.low < found.high
    assert found.low <= found.depth <= found.high
    assert found.depth in (64, 128)


def test_distances_pass_downwards(depths, noisy, stepped):
    found = critical_depth(depths, 10 - 5 * noisy(stepped()), higher_is_better=False)
    assert found.depth == 64
    assert found.level == pytest.approx(7.5, abs=0.4)
    with pytest.raises(ValueError, match="higher is better"):
        critical_depth(depths, noisy(stepped()), best=1.0, higher_is_better=False)


def test_a_map_has_easy_hard_and_impossible_goals(depths, noisy):
    curves = [np.full(9, 0.9), logistic(INDEX, 2.4, 2.0), logistic(INDEX, 5.4, 2.0), np.full(9, 0.05)]
    values = np.stack([noisy(curve, seed=i) for i, curve in enumerate(curves)])
    easy, middle, hard, impossible = difficulty_map(depths, values, best=1.0)
    assert (easy.depth, easy.verdict.verdict) == (4, "flat")
    assert middle.depth == 32
    assert hard.depth == 256
    assert (impossible.depth, impossible.high) == (None, None)
    assert hard.to_json(env="maze")["verdict"]["verdict"] == "gradual"


def test_without_a_best_value_a_flat_series_has_no_critical_depth(depths, noisy):
    assert critical_depth(depths, noisy(np.full(9, 0.4))).depth is None


def test_equal_jumps_have_ratio_one_within_what_the_depths_resolve(depths, noisy, stepped):
    found = compare_locations((depths, noisy(stepped(), seed=1)), (depths, noisy(stepped(), seed=2)))
    assert (found.kind, found.ratio, found.same) == ("jump", 1.0, True)
    assert 0.5 <= found.low < 1 < found.high <= 2


@pytest.mark.parametrize("factor", [2, 8])
def test_the_ratio_is_second_over_first(depths, noisy, stepped, factor):
    first, second = noisy(stepped(), seed=1), noisy(stepped(), seed=2)
    found = compare_locations((depths, first), (factor * depths, second))
    assert found.ratio == factor
    assert factor / 2 <= found.low < factor < found.high <= 2 * factor
    back = compare_locations((factor * depths, second), (depths, first))
    assert back.ratio == 1 / factor
    assert (1 / back.high, 1 / back.low) == pytest.approx((found.low, found.high), rel=0.05)
    assert not compare_locations((depths, first), (8 * depths, second)).same


def test_gradual_curves_are_compared_by_critical_depth(depths, noisy):
    shallow, deep = (noisy(logistic(INDEX, centre, 3.0), seed=int(centre)) for centre in (2.5, 5.5))
    found = compare_locations((depths, shallow), (depths, deep))
    assert found.kind == "critical depth"
    assert found.low < 8 < found.high
    assert found.same is False


def test_flat_series_have_no_thresholds_to_compare(depths, noisy, stepped):
    found = compare_locations((depths, noisy(stepped())), (depths, noisy(np.full(9, 0.4), seed=5)))
    assert (found.kind, found.ratio, found.same) == ("none", None, None)
    assert found.text == "no thresholds to compare: jump and flat"


def test_what_the_shallowest_depth_can_do_has_no_threshold(depths, noisy):
    falling = (depths, noisy(logistic(-INDEX, -4.0, 3.0)))
    found = compare_locations(falling, falling)
    assert (found.kind, found.ratio) == ("none", None)
    assert "passed at the shallowest depth already" in found.text


def test_a_fall_is_no_threshold_of_capability(depths, noisy, stepped):
    rising, falling = noisy(stepped(), seed=1), -noisy(stepped(), seed=2)
    assert compare_locations((depths, rising), (depths, falling)).kind != "jump"
    lower = compare_locations((depths, -rising), (depths, falling), higher_is_better=False)
    assert lower.kind == "jump"
