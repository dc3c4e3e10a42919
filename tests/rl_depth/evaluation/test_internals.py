"""Energy maps, norms along the trunk, ranks of the representations."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import envs, measured, runs
from rl_depth.agents import Batch, ContrastiveAgent, losses
from rl_depth.cli import main as command_line
from rl_depth.config import Config
from rl_depth.evaluation import internals
from rl_depth.networks.block import Block
from rl_depth.training import session

from ..conftest import TINY


class Known:
    """An agent whose critic is written by hand."""

    def __init__(self, phi, psi):
        self.phi, self.psi = phi, psi

    def act(self, params, state, goal, key, depth):
        assert key is None and depth is None
        return goal - state[:, :2]

    def encode(self, params, batch, depth):
        return self.phi(batch.state), self.psi(batch.goal)

    def similarity(self, params, phi, psi):
        return losses.energy("norm", phi, psi)


def drawn(agent, goal, env="point_u_maze"):
    scene = internals._Scene.of(Config(env=env), goal, seed=0)
    return scene.draw([SimpleNamespace(agent=agent, params={})], None)


def test_a_critic_of_straight_distances_peaks_at_the_goal():
    found = drawn(Known(lambda state: state[:, :2], lambda goal: goal), goal=(3.2, 2.1))
    best = np.unravel_index(np.nanargmax(found.energy[0]), found.energy[0].shape)
    spacing = found.x[1] - found.x[0]
    assert abs(found.x[best[0]] - 3.2) <= spacing / 2 and abs(found.y[best[1]] - 2.1) <= spacing / 2
    apart = np.hypot(found.x[:, None] - 3.2, found.y[None] - 2.1)
    free = ~np.isnan(found.energy[0])
    np.testing.assert_allclose(found.energy[0][free], -apart[free], rtol=1e-5)
    assert free.sum() == 36 * (~found.floor.walls).sum()
    np.testing.assert_allclose(found.action[0][best], [3.2 - found.x[best[0]], 2.1 - found.y[best[1]]], atol=1e-5)
    assert found.straight_correlation[0] > 0.99 and found.path_correlation[0] < 0.97


def test_a_critic_that_knows_the_maze_is_told_from_one_that_does_not():
    goal = np.array([3.0, 1.0])
    lengths = jnp.array(envs.make("point_u_maze")._task.maze.path_lengths, jnp.float32)[:, 3 * 5 + 1]

    def path(state):
        cell = jnp.round(state[:, :2]).astype(int)
        return lengths[cell[:, 0] * 5 + cell[:, 1]][:, None]

    found = drawn(Known(path, lambda goal: 0 * goal[:, :1]), goal)
    assert found.path_correlation[0] == pytest.approx(1) and found.straight_correlation[0] < 0.9


def test_a_critic_that_knows_nothing_has_no_correlation():
    found = drawn(Known(lambda state: 0 * state[:, :2], lambda goal: 0 * goal), (1.0, 1.0))
    assert np.isnan([found.path_correlation[0], found.straight_correlation[0]]).all()
    assert found.to_json()["path_correlation"] == [None]


def test_the_default_goal_and_start_are_those_of_an_evaluation_episode():
    config = Config(env="point_u_maze")
    one, other = (internals._Scene.of(config, None, seed) for seed in (0, 1))
    assert one.floor.is_free(np.stack([one.start, one.goal])).all()
    assert np.abs(one.start - 1).max() <= 0.25 and one.goal[0] >= 2.7
    assert not np.array_equal(one.goal, other.goal)
    assert internals._Scene.of(Config(env="reacher"), None, 0) is None


@pytest.mark.parametrize(
    ("values", "effective", "variance"),
    [
        ([1.0, 1.0, 1.0, 1.0], 4.0, 4),
        ([5.0, 0.0, 0.0], 1.0, 1),
        ([3.0, 1.0], 4 / 3**0.75, 2),  # exp(-3/4 log 3/4 - 1/4 log 1/4)
        ([10.0, 1.0, 0.1], np.exp(-sum(p * np.log(p) for p in np.array([10, 1, 0.1]) / 11.1)), 1),
        ([0.0, 0.0], 0.0, 0),
    ],
)
def test_ranks_of_known_spectra(values, effective, variance):
    assert measured.effective_rank(np.array(values)) == pytest.approx(effective)
    assert measured.variance_rank(np.array(values)) == variance


def test_a_share_that_is_met_exactly_needs_no_further_value():
    assert measured.variance_rank(np.array([3.0, 1.0]), share=0.9) == 1
    assert measured.variance_rank(np.array([3.0, 1.0]), share=0.91) == 2


def test_the_spectrum_of_a_matrix_of_known_rank_is_blind_to_its_mean():
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((500, 3)) - rng.standard_normal((500, 3)).mean(0))[0]
    right = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    matrix = (left - left.mean(axis=0)) @ np.diag([2.0, 2.0, 2.0]) @ right.T
    values = internals.spectrum(matrix + 100 * rng.standard_normal(8))
    assert values.shape == (8,)
    np.testing.assert_allclose(values[3:], 0, atol=1e-9)
    assert measured.effective_rank(values) == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("block", ["stacked", "looped"])
def test_norms_equal_the_direct_computation(block):
    config = Config(block=block, depth=12, width=8, representation=4, batch_size=6)
    agent = ContrastiveAgent.of(config, state_size=3, goal_size=2, action_size=2)
    params = jax.jit(agent.create)(jax.random.key(0)).params
    keys = jax.random.split(jax.random.key(1), 3)
    sizes = {"state": 3, "action": 2, "goal": 2}
    samples = Batch(**{n: jax.random.normal(k, (12, s)) for (n, s), k in zip(sizes.items(), keys, strict=True)})
    found = internals._norms(agent, config, None)(params, samples)
    inputs = {
        "actor": jnp.hstack([samples.state, samples.goal]),
        "phi": jnp.hstack([samples.state, samples.action]),
        "psi": samples.goal,
    }
    for name, x in inputs.items():
        net = getattr(agent, name)
        embedded = net.apply({"params": params[name]}, x, method="embed")
        h, weights = embedded, params[name]["trunk"]["block" if block == "looped" else "blocks"]
        for i in range(3):
            own = weights if block == "looped" else jax.tree.map(lambda leaf, i=i: leaf[i], weights)
            after = Block(net.trunk_config).apply({"params": own}, h, embedded, jnp.array([i / 3, 1 / 3]))
            step, length = np.linalg.norm(after - h, axis=1), np.linalg.norm(h, axis=1)
            np.testing.assert_allclose(found[name]["residual"][i], step.mean(), rtol=1e-4)
            np.testing.assert_allclose(found[name]["relative"][i], (step / length).mean(), rtol=1e-4)
            np.testing.assert_allclose(found[name]["stream"][i], np.linalg.norm(after, axis=1).mean(), rtol=1e-4)
            h = after


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A stacked run of two seeds and a looped one of one, trained for two epochs."""
    folder = tmp_path_factory.mktemp("inspected")
    config = Config(**TINY | {"env_steps": 240, "evals": 1, "seeds": 2})
    session.train(config, folder / "stacked")
    session.train(dataclasses.replace(config, block="looped", depth=8, seeds=1), folder / "looped")
    return folder


@pytest.fixture
def folder(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_from_the_command_line_to_the_files(folder, capsys):
    options = ["--depths", "8,4", "--goal", "3", "1.2", "--batches", "2", "--json", "found.json"]
    command_line.main(["inspect", "stacked", "looped", *options])
    text = capsys.readouterr().out
    assert "stacked" in text and text.count("written: ") == 4
    out = folder / "runs" / "inspect" / "stacked+looped"
    files = sorted(file.name for file in out.iterdir() if not file.name.startswith("."))
    assert files == ["energy_maps.png", "inspect.json", "norms.png", "ranks.png"]
    assert all((out / f"{name}.png").stat().st_size > 10_000 for name in ("energy_maps", "norms", "ranks"))
    rows = json.loads((folder / "found.json").read_text())
    assert rows == json.loads((out / "inspect.json").read_text())
    assert [(row["block"], row["depth"], row["seeds"]) for row in rows] == [
        ("looped", 4, [0]),
        ("looped", 8, [0]),
        ("stacked", 4, [0, 1]),
    ]
    assert [np.shape(row["norms"]["psi"]["residual"]) for row in rows] == [(1, 1), (1, 2), (2, 1)]
    for row in rows:
        drawn, seeds = row["energy_map"], len(row["seeds"])
        assert drawn["goal"] == [3, 1.2] and np.shape(drawn["energy"]) == (seeds, 30, 30)
        free = np.array(drawn["energy"], float)
        assert np.isfinite(free).sum() == seeds * 36 * 7
        assert np.shape(row["rank"]["phi"]["effective"]) == (seeds,)
        assert all(1 <= value <= TINY["representation"] for value in row["rank"]["psi"]["effective"])
        assert np.shape(row["singular_values"]["phi"]) == (seeds, TINY["representation"])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stacked", "--goal", "2", "1"], ["--goal 2 1", "wall", "-0.5 to 4.5"]),
        (["stacked", "--goal", "9", "1"], ["--goal 9 1", "outside"]),
        (["stacked", "--depths", "4"], ["--depths 4", "looped"]),
        (["looped", "--depths", "6"], ["--depths: depth 6", "4"]),
        (["stacked", "--batches", "0"], ["--batches 0"]),
    ],
    ids=str,
)
def test_bad_options_are_refused_and_nothing_is_written(capsys, tmp_path, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["inspect", *arguments, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2 and not (tmp_path / "out").exists()
    error = capsys.readouterr().err.strip()
    assert error.startswith("rl-depth: error: ") and "\n" not in error
    for word in words:
        assert word in error


def test_a_run_without_a_checkpoint_is_refused(capsys, tmp_path):
    with runs.hold(tmp_path / "bare", Config(**TINY), resume=False):
        pass
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["inspect", str(tmp_path / "bare"), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2 and "no usable checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
