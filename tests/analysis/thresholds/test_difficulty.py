"""Which goals need which depth, read from run folders whose answer is known."""

import numpy as np
import pytest

from rl_depth.analysis import plots
from rl_depth.analysis.thresholds import difficulty
from rl_depth.config import ConfigError

NEEDS = {2: 4, 4: 8, 6: 16, 9: 999}  # goal distance: least depth that reaches it


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, fabricate):
    folder = tmp_path_factory.mktemp("difficulty")
    for depth in (4, 8, 16, 32):
        for block, factor in (("stacked", 1), ("looped", 2)):
            success = {distance: 0.9 if depth >= factor * needed else 0.05 for distance, needed in NEEDS.items()}
            options = {"depth": depth, "block": block, "seeds": 3, "distances": tuple(NEEDS)}
            fabricate(folder / f"{block}-{depth}", success.get, **options)
    return folder


def test_each_distance_has_its_critical_depth(sweep):
    looped, stacked = difficulty.from_runs([sweep])
    assert (looped.block, stacked.block) == ("looped", "stacked")
    assert stacked.distances.tolist() == [2, 4, 6, 9]
    assert stacked.depths.tolist() == [4, 8, 16, 32]
    assert [len(v) for row in stacked.values for v in row] == [3] * 16
    assert [one.depth for one in stacked.critical] == [4, 8, 16, None]
    assert [one.depth for one in looped.critical] == [8, 16, 32, None]
    assert stacked.means[1, 0] < 0.2
    assert stacked.means[1, 1] > 0.6
    assert stacked.to_json()["critical"][1]["depth"] == 8


@pytest.mark.parametrize("metric", ["time_at_goal", "dist_final"])
def test_other_metrics_give_the_same_depths_where_there_is_a_change(sweep, metric):
    stacked = difficulty.from_runs([sweep], metric)[1]
    assert [one.depth for one in stacked.critical[1:]] == [8, 16, None]


def test_a_seed_weighs_its_last_evaluations_by_their_episodes(tmp_path, fabricate):
    run = fabricate(tmp_path / "run", 0.6, noise=0, depth=4)
    rows = run.metrics()
    for row, episodes, success in zip(rows[-3:], (10, 0, 30), (0.0, 0.5, 1.0), strict=True):
        row["by_difficulty"] = [{"goal_distance": 3.0, "episodes": episodes, "success_any": success}] * (episodes > 0)
    run.truncate(0)
    for row in rows:
        run.append([row], {"epoch": row["epoch"], "env_steps": row["env_steps"], "train_seconds": 1.0})
    (one,) = difficulty.from_runs([tmp_path])
    assert one.distances.tolist() == [3]
    assert one.values[0][0].tolist() == [0.75]


def test_metres_fall_into_four_bins_that_all_series_share(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=4, distances=(0.5, 1.9, 4.2))
    fabricate(tmp_path / "b", 0.5, depth=8, distances=(0.6, 2.1, 8.5))
    (one,) = difficulty.from_runs([tmp_path])
    assert one.distances.tolist() == [1.5, 3.5, 7.5]
    assert [[len(v) for v in row] for row in one.values] == [[1, 1], [1, 0], [0, 1]]
    assert np.isnan(one.means[2, 0])


def test_an_unknown_metric_is_refused_with_those_there_are(sweep):
    with pytest.raises(ConfigError, match="--metric speed: metrics per goal difficulty are dist_final"):
        difficulty.from_runs([sweep], "speed")


def test_the_figure_has_a_panel_per_series(sweep, tmp_path):
    plots.difficulty(difficulty.from_runs([sweep]), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
