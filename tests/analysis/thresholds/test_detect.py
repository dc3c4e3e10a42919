import json
from dataclasses import replace

import numpy as np
import pytest

from rl_depth.analysis.thresholds import detect as detection
from rl_depth.analysis.thresholds.curves import logistic
from rl_depth.analysis.thresholds.detect import detect

INDEX = np.arange(9.0)


def test_a_step_is_a_jump_at_the_first_depth_of_the_higher_level(depths, noisy, stepped):
    found = detect(depths, noisy(stepped(0.6, 4)))
    (jump,) = found.jumps
    assert found.verdict == "jump"
    assert (jump.depth, jump.low, jump.high) == (64, 64, 64)
    assert jump.effect == pytest.approx(0.6, abs=0.08)
    assert jump.p < 0.01
    assert found.text.startswith("jump at 64 in [64, 64] by +0.")
    assert found.model == "step"


@pytest.mark.parametrize(
    "curve",
    [0.1 + 0.1 * INDEX, 1 - 2.0**-INDEX, logistic(INDEX, 4.3, 2.0), 1 - logistic(INDEX, 4.3, 3.0)],
    ids=["log-linear", "saturating", "logistic", "falling"],
)
def test_smooth_curves_are_gradual(depths, noisy, curve):
    found = detect(depths, noisy(curve))
    assert (found.verdict, found.jumps) == ("gradual", ())


def test_a_rise_and_fall_is_no_jump(depths, noisy):
    curve = logistic(INDEX, 2.0, 2.5) - 0.7 * logistic(INDEX, 6.5, 3.0)
    assert [detect(depths, noisy(curve, seed=s)).verdict for s in range(5)].count("jump") == 0


def test_nothing_is_flat(depths, noisy):
    found = detect(depths, noisy(np.full(9, 0.4)))
    assert (found.verdict, found.jumps, found.p_jump) == ("flat", (), None)
    assert "would have shown" in found.text


def test_two_steps_are_two_jumps(depths, noisy):
    found = detect(depths, noisy(0.1 + 0.4 * (INDEX >= 3) + 0.4 * (INDEX >= 6)))
    assert [jump.depth for jump in found.jumps] == [32, 256]
    assert [jump.effect for jump in found.jumps] == pytest.approx([0.4, 0.4], abs=0.1)


def test_a_fall_has_a_negative_effect_and_is_no_jump_upwards(depths, noisy, stepped):
    found = detect(depths, -noisy(stepped()))
    (jump,) = found.jumps
    assert jump.effect < 0
    assert found.text.startswith("drop at 64")


def test_a_step_that_declines_again_is_found(depths, noisy, stepped):
    curve = stepped(0.6, 3) - 0.08 * np.maximum(INDEX - 3, 0)
    assert [jump.depth for jump in detect(depths, noisy(curve)).jumps] == [32]


@pytest.mark.parametrize("name", ["step", "slope", "flat", "small step"])
def test_neither_shift_nor_scale_nor_order_matters(depths, noisy, stepped, name):
    curve = {"step": stepped(), "slope": 0.1 * INDEX, "flat": 0 * INDEX, "small step": stepped(0.25)}[name]
    values = noisy(curve, seed=8)
    first = detect(depths, values)
    rng = np.random.default_rng(1)
    order = rng.permutation(9)
    shuffled = [rng.permutation(row) for row in values[order]]
    assert detect(depths[order], shuffled) == first
    scaled = detect(depths, 8.0 * values + 3.0)
    assert scaled.verdict == first.verdict
    assert [replace(jump, effect=0) for jump in scaled.jumps] == [replace(jump, effect=0) for jump in first.jumps]
    assert [jump.effect for jump in scaled.jumps] == pytest.approx([8 * jump.effect for jump in first.jumps])
    assert scaled.more_seeds == first.more_seeds


def test_depths_scale(depths, noisy, stepped):
    values = noisy(stepped())
    (near,), (far,) = detect(depths, values).jumps, detect(4 * depths, values).jumps
    assert far.depth == 4 * near.depth
    assert far.p == near.p


def test_the_same_seed_gives_the_same_verdict(depths, noisy, stepped):
    values = noisy(stepped(0.3))
    assert detect(depths, values, seed=3) == detect(depths, values, seed=3)


def test_too_few_seeds_depths_or_both_are_undecided(depths, noisy, stepped):
    values = noisy(stepped())
    single = detect(depths, values[:, :1])
    assert (single.verdict, single.more_seeds) == ("undecided", 4)
    assert single.text.startswith(
        "undecided: 1 seed at some depth, so nothing tells noise from effect; 4 more seeds needed; steepest from 32"
    )
    few = detect(depths[3:6], values[3:6])
    assert few.verdict == "undecided"
    assert few.text.startswith("undecided: at least 4 depths are needed, not 3; steepest")
    assert detect(depths[:1], values[:1]).verdict == "undecided"


def test_a_small_step_is_undecided_and_the_seeds_it_asks_for_decide(depths, noisy, stepped):
    curve = stepped(0.25)
    undecided = [found for s in range(12) if (found := detect(depths, noisy(curve, 3, seed=s))).verdict == "undecided"]
    assert undecided
    assert all(found.more_seeds is None or f"{found.more_seeds} more seeds" in found.text for found in undecided)
    needed = 3 + int(np.median([found.more_seeds for found in undecided if found.more_seeds]))
    decided = [detect(depths, noisy(curve, needed, seed=100 + s)).verdict == "jump" for s in range(20)]
    assert np.mean(decided) >= 0.6


def test_two_seeds_do_not_make_flat(depths, noisy):
    found = detect(depths, noisy(np.full(9, 0.4), seeds=2, seed=3))
    assert found.verdict == "undecided"
    assert found.more_seeds >= 1


def test_a_smallest_effect_of_interest_decides_what_flat_and_jump_mean(depths, noisy, stepped):
    nothing = noisy(np.full(9, 0.4))
    assert detect(depths, nothing, smallest_effect=0.5).verdict == "flat"
    assert detect(depths, nothing, smallest_effect=0.05).verdict == "undecided"
    found = detect(depths, noisy(stepped(0.5)), smallest_effect=0.8)
    assert (found.verdict, found.jumps) == ("gradual", ())


def test_a_lower_level_asks_for_more(depths, noisy, stepped):
    values = noisy(stepped(0.35), seed=4)
    p = detect(depths, values).p_jump
    assert detect(depths, values, level=p / 2, bootstraps=400).verdict != "jump"


@pytest.mark.parametrize("values", [np.zeros((9, 5)), np.ones((9, 5)), np.full((9, 5), 0.1)])
def test_equal_values_are_flat(depths, values):
    found = detect(depths, values)
    assert (found.verdict, found.text) == ("flat", f"flat: every value is {values[0, 0]:.4g}")


def test_seeds_that_all_agree_can_jump(depths):
    values = np.tile((INDEX >= 4).astype(float)[:, None], 5)
    found = detect(depths, values)
    assert [jump.depth for jump in found.jumps] == [64]
    slope = detect(depths, np.tile(INDEX[:, None], 5))
    assert slope.verdict == "gradual"


def test_outcomes_of_zero_and_one_are_judged(depths):
    rng = np.random.default_rng(0)
    jumping = (rng.random((9, 12)) < np.where(INDEX >= 4, 0.97, 0.03)[:, None]).astype(float)
    assert 64 in [jump.depth for jump in detect(depths, jumping).jumps]
    slope = (rng.random((9, 12)) < (INDEX / 8)[:, None]).astype(float)
    assert detect(depths, slope).verdict != "jump"


def test_ragged_seeds_are_judged(depths, noisy, stepped):
    values = [row[: 3 + i % 5] for i, row in enumerate(noisy(stepped(), seeds=8))]
    found = detect(depths, values)
    assert [jump.depth for jump in found.jumps] == [64]
    assert found.seeds == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, v: (d, np.where(v == v[2, 0], np.nan, v)), "depth 16 has a value that is not finite"),
        (lambda d, v: (d, v[:-1]), "8 rows of values"),
        (lambda d, v: (np.where(d == 8, 4, d), v), "given twice"),
        (lambda d, v: (d - 4, v), "positive"),
        (lambda d, v: (d, [[] if i == 1 else row for i, row in enumerate(v)]), "depth 8 has no values"),
        (lambda d, v: ([], []), "no depth given"),
    ],
)
def test_malformed_series_are_refused(depths, noisy, stepped, change, words):
    with pytest.raises(ValueError, match=words):
        detect(*change(depths, noisy(stepped())))


def test_the_json_form(depths, noisy, stepped):
    found = detect(depths, noisy(stepped())).to_json(env="maze", block="stacked", metric="success_any")
    again = json.loads(json.dumps(found))
    assert [again[name] for name in ("env", "block", "metric", "verdict")] == ["maze", "stacked", "success_any", "jump"]
    assert again["jumps"][0].keys() == {"depth", "low", "high", "effect", "p"}
    assert again["bic"]["step"] == 0


def test_what_flat_says_would_have_shown_shows(depths, noisy):
    shows = detection.detectable(0.08, 9, 5)
    curve = np.where(INDEX == 8, shows, 0.0)
    trends = [detect(depths, noisy(curve, seed=s), bootstraps=200).p_trend < 0.05 for s in range(60)]
    assert 0.6 < np.mean(trends) <= 1.0


def drawn(curve, deviation=15.0, seeds=5, seed=0):
    """Seeds ``[D, S]`` whose means and deviations are exactly those given."""
    noise = np.random.default_rng(seed).standard_normal((len(curve), seeds))
    noise -= noise.mean(axis=1, keepdims=True)
    return np.asarray(curve, float)[:, None] + deviation * noise / noise.std(axis=1, ddof=1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_jump_with_growth_after_it_is_a_jump_at_five_depths(seed):
    """The shape that Wang et al. (2025) print for the ant in a big maze."""
    found = detect([4, 8, 16, 32, 64], drawn([61, 66, 324, 413, 441], seed=seed), seed=seed)
    assert [jump.depth for jump in found.jumps] == [16]
    assert found.jumps[0].effect == pytest.approx(263, abs=20)
    assert found.model == "step and growth"


@pytest.mark.parametrize("bend", [0.5, 1.0, 1.6, 2.0, 2.5])
@pytest.mark.parametrize("count", [5, 7, 9])
def test_a_hinge_is_no_jump(bend, count):
    """Flat, then growth that is straight in log2 depth."""
    index = np.arange(count)
    curve = 60 + 400 * np.maximum(index - bend, 0) / (count - 1 - bend)
    for seed in range(3):
        noise = np.random.default_rng(seed).standard_normal((count, 5))
        assert detect(4 * 2**index, curve[:, None] + 15 * noise, seed=seed).verdict in ("gradual", "undecided")


def test_every_verdict_names_the_steepest_doubling_and_where_half_of_the_rise_lies():
    depths = [4, 8, 16, 32, 64]
    for curve in ([61, 66, 324, 413, 441], [60, 160, 260, 360, 460], [50, 52, 49, 51, 50], [20, 22, 21, 20, 600]):
        found = detect(depths, drawn(curve))
        told = json.loads(json.dumps(found.to_json()))
        assert set(told["steepest"]) == {"from", "to", "share"} and told["half_at"] in depths
        assert f"steepest from {told['steepest']['from']} to {told['steepest']['to']}" in found.text
    told = detect(depths, drawn([61, 66, 324, 413, 441])).to_json()
    assert told["steepest"] == {"from": 8, "to": 16, "share": pytest.approx(258 / 380)}
    assert told["half_at"] == 16


def test_a_steepest_doubling_at_an_end_is_said_to_need_depths_beyond():
    found = detect([4, 8, 16, 32, 64], drawn([20, 22, 21, 20, 600]))
    assert found.verdict != "jump"
    assert found.text.endswith("the first and the last depth cannot be judged: sample depths beyond 64")
    assert "below 4" in detect([4, 8, 16, 32, 64], drawn([20, 600, 610, 600, 605])).text


def test_a_series_that_falls_says_so(depths, noisy):
    found = detect(depths, noisy(0.9 - 0.1 * INDEX, deviation=0.03))
    assert found.text.startswith("gradual: falls from 0.8")
    assert "of the whole fall" in found.text and found.rise.falls
    hump = detect(depths, noisy(logistic(INDEX, 2.0, 2.5) - 0.7 * logistic(INDEX, 6.5, 3.0)))
    assert "then falls to" in hump.text
