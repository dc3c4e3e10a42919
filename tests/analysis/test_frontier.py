"""Capability against the price of an action, on measurements whose answers are known."""

import numpy as np
import pytest

from rl_depth.analysis import frontier, significance

from ..fabricated import DISTANCE, spending


def points(found: frontier.Frontier) -> dict[str, frontier.Point]:
    return {point.label: point for point in found.points}


@pytest.mark.parametrize(
    ("price", "scores", "expected"),
    [
        ([1, 2, 3], [0.2, 0.5, 0.4], [True, True, False]),
        ([1, 1, 2], [0.5, 0.4, 0.5], [True, False, False]),
        ([1, 1], [0.5, 0.5], [True, True]),
        ([3, 2, 1], [0.1, 0.2, 0.3], [False, False, True]),
    ],
)
def test_the_front_is_what_nothing_beats_for_as_little(price, scores, expected):
    assert frontier.on_front(np.array(price), np.array(scores)).tolist() == expected
    both = frontier.on_front(np.array(price), np.array([scores, scores[::-1]]))
    assert both.shape == (2, len(price)) and both[0].tolist() == expected


def test_a_clear_front_is_on_it_in_nearly_all_resamples():
    (found,) = frontier.frontiers([spending({"mode": (0.3, 10), "samples=4": (0.8, 40), "depth=16": (0.5, 80)})])
    assert [point.flops for point in found.points] == [10, 40, 80]
    by = points(found)
    assert by["mode"].on_front["flops"] and by["samples=4"].on_front["flops"] and not by["depth=16"].on_front["flops"]
    shares = [by[label].front_share["flops"] for label in ("mode", "samples=4", "depth=16")]
    assert shares[0] == shares[1] == 1.0 and shares[2] < 0.01
    assert found.train_flops == {"": 1e9}


def test_points_that_cannot_be_told_apart_share_the_front():
    (found,) = frontier.frontiers([spending({"mode": (0.5, 20), "samples=2": (0.51, 24), "depth=16": (0.5, 28)})])
    share = points(found)["samples=2"].front_share["flops"]
    assert share is not None and 0.05 < share < 0.95


def test_an_interval_covers_what_seeds_and_episodes_are_drawn_from():
    """Of agents and episodes drawn anew the mean lies within the interval of one drawing about as often as said."""
    rng, inside = np.random.default_rng(1), 0
    for _ in range(100):
        values = (rng.uniform(size=(10, 64)) < np.clip(rng.normal(0.5, 0.1, (10, 1)), 0, 1)).astype(float)
        drawn = frontier.resampled([values], ["a"], DISTANCE, draws=300)
        low, high = np.quantile(drawn, (0.025, 0.975))
        inside += low <= 0.5 <= high
    assert inside >= 85


def test_budgets_of_one_run_are_drawn_with_the_same_seeds_and_episodes():
    values = np.random.default_rng(2).uniform(size=(6, 64))
    drawn = frontier.resampled([values, values + 0.1], ["a", "a"], DISTANCE, draws=200)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.1, atol=1e-9)
    apart = frontier.resampled([values, values + 0.1], ["a", "b"], DISTANCE, draws=200)
    assert np.std(apart[:, 1] - apart[:, 0]) > 0.01


def test_what_doubling_buys_and_where_it_stops():
    (found,) = frontier.frontiers(
        [
            spending(
                {
                    "samples=2": (0.3, 20),
                    "samples=8": (0.7, 80),
                    "samples=16": (0.7, 160),
                    "samples=8,noise=0.5": (0.6, 90),
                }
            )
        ]
    )
    (gain,) = found.gains
    assert (gain.way, gain.dial, [(step["from"], step["to"]) for step in gain.steps]) == (
        "draws",
        "samples",
        [(2, 8), (8, 16)],
    )
    by = points(found)
    assert gain.steps[0]["gain"] == pytest.approx((by["samples=8"].mean - by["samples=2"].mean) / 2)
    assert gain.steps[1]["gain"] == 0 and gain.stops == 8


def test_ways_at_one_price_are_told_apart_by_their_seeds():
    levels = {"depth=16": (0.4, 100), "samples=4": (0.8, 110), "subgoals=4": (0.4, 300), "oracle=1": (0.9, 100)}
    (found,) = frontier.frontiers([spending(levels)])
    (pair,) = found.pairs
    assert [found.points[i].label for i in (pair.first, pair.second)] == ["depth=16", "samples=4"]
    assert pair.ratio == pytest.approx(1.1) and pair.outcome == significance.WORSE
    assert pair.high is not None and pair.high < 0 and pair.p is not None and pair.p < 0.05
    assert not any(points(found)["oracle=1"].on_front.values()), "an oracle is no policy"


def test_less_of_a_distance_is_better():
    levels = {"depth=16": (0.4, 100), "samples=4": (0.8, 110)}
    (found,) = frontier.frontiers([spending(levels, metric="dist_final")])
    assert found.pairs[0].outcome == significance.BETTER
    assert points(found)["depth=16"].on_front["flops"] and not points(found)["samples=4"].on_front["flops"]


def test_few_seeds_have_no_intervals_and_no_verdicts():
    levels = {"depth=16": (0.4, 100), "samples=4": (0.8, 110), "samples=8": (0.8, 200)}
    (found,) = frontier.frontiers([spending(levels, seeds=significance.LEAST_SEEDS - 1)])
    assert all(point.low is point.high is point.front_share["serial"] is None for point in found.points)
    assert found.pairs[0].outcome == significance.TOO_FEW and found.gains[0].stops is None


def test_runs_of_one_environment_share_a_frontier_and_others_have_their_own(tmp_path):
    runs = [
        spending({"mode": (0.3, 10), "samples=4": (0.5, 40)}, label="depth 8"),
        spending({"mode": (0.5, 40)}, label="depth 16", depth=16),
        spending({"mode": (0.5, 10)}, label="ring", env_options='layout="ring"'),
    ]
    shared, ring = frontier.frontiers(runs)
    assert [point.run for point in shared.points] == ["depth 8", "depth 8", "depth 16"]
    assert [shared.points[i].run for i in (shared.pairs[0].first, shared.pairs[0].second)] == ["depth 8", "depth 16"]
    assert 'layout="ring"' in ring.env and [point.run for point in ring.points] == [""]
    assert shared.points[0].by_difficulty[0] > shared.points[0].by_difficulty[-1]
    frontier.draw([shared, ring], tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").stat().st_size > 10_000
    assert shared.to_json()["points"][0]["flops"] == 10
