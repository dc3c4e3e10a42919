"""A learner that trains on the data of a collector of another depth."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import runs, signals
from rl_depth.agents.cost import agent_cost
from rl_depth.config import Config, ConfigError
from rl_depth.sweeps.estimates import count
from rl_depth.sweeps.sweep import Cell
from rl_depth.training import session, trainer
from rl_depth.training.trainer import Trainer, make_env

from ..conftest import TINY

SPLIT = Config(**TINY | {"env_steps": 480, "evals": 3, "depth": 4, "collector_depth": 8, "seeds": 2})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The split run, and a plain run of the collector's depth."""
    folder = tmp_path_factory.mktemp("split")
    configs = {"split": SPLIT, "plain": dataclasses.replace(SPLIT, depth=8, collector_depth=None)}
    return {name: session.train(config, folder / name) for name, config in configs.items()}


def begin(config):
    return jax.jit(Trainer.of(config).init)(jnp.int32(0))


def part(run, prefix):
    arrays = run.load_checkpoint().arrays
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys() and found
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def test_the_learner_trains_on_what_a_plain_agent_of_the_collectors_depth_collects(trained):
    for place in (".replay", ".rollout"):
        assert_equal(part(trained["split"], place), part(trained["plain"], place))
    assert_equal(part(trained["split"], ".collector"), part(trained["plain"], ".agent"))


def test_the_learner_learns_too(trained):
    kernel = "['phi']['head']['kernel']"
    begun = begin(SPLIT).agent.params["phi"]["head"]["kernel"]
    learned = part(trained["split"], ".agent.params")[kernel][0]
    assert learned.shape == begun.shape and not np.array_equal(learned, begun)
    rows = trained["split"].metrics()
    assert rows[-1]["infonce"] != rows[-1]["collector_infonce"]


def test_both_are_evaluated_on_the_same_episodes_under_names_of_their_own(trained):
    plain = {(row["epoch"], row["seed"]): row for row in trained["plain"].metrics()}
    for row in trained["split"].metrics():
        wanted = plain[row["epoch"], row["seed"]]
        for name in ("success_any", "time_at_goal", "dist_final", "infonce"):
            assert row[f"collector_{name}"] == wanted[name]
        assert row["goal_distance"] == wanted["goal_distance"] and "collector_goal_distance" not in row
        assert row["by_difficulty"][0]["collector_dist_final"] == wanted["by_difficulty"][0]["dist_final"]
    assert any(row["dist_final"] != row["collector_dist_final"] for row in trained["split"].metrics())


def test_a_collector_of_the_learners_own_depth_is_another_agent():
    state = begin(dataclasses.replace(SPLIT, collector_depth=4))
    learner, collector = (own.params["phi"]["head"]["kernel"] for own in (state.agent, state.collector))
    assert learner.shape == collector.shape and not np.array_equal(learner, collector)


def test_a_split_run_that_is_interrupted_ends_bit_for_bit_the_same(trained, tmp_path, monkeypatch):
    class Asked(signals.Stop):
        def __bool__(self):
            return len(runs.Run(tmp_path / "cut").metrics()) >= 2

    monkeypatch.setattr(signals, "Stop", Asked)
    with pytest.raises(session.Interrupted):
        session.train(SPLIT, tmp_path / "cut")
    monkeypatch.undo()
    cut = session.train(SPLIT, tmp_path / "cut", resume=True)
    assert_equal(cut.load_checkpoint().arrays, trained["split"].load_checkpoint().arrays)
    assert cut.metrics() == trained["split"].metrics()


@pytest.mark.parametrize("broken", ["agent", "collector"])
def test_when_either_diverges_both_keep_their_last_good_parameters(broken):
    state = begin(SPLIT).replace(epoch=jnp.int32(3))
    moved = {name: jax.tree.map(lambda leaf: leaf + 1, getattr(state, name)) for name in ("agent", "collector")}
    good = trainer._keep_if_finite(state, state.replace(**moved), {})
    assert good.diverged == -1
    same_tree(good.collector, moved["collector"])
    moved[broken] = jax.tree.map(lambda leaf: leaf * jnp.nan, moved[broken])
    kept = trainer._keep_if_finite(state, state.replace(**moved), {})
    assert kept.diverged == 3
    same_tree((kept.agent, kept.collector), (state.agent, state.collector))


def same_tree(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_costs_name_the_learner_and_count_both(trained):
    env = make_env(SPLIT)
    sizes = (env.state_size, env.goal_size, env.action_size)
    meta = trained["split"].meta()
    assert meta["cost"] == agent_cost(dataclasses.replace(SPLIT, collector_depth=None), *sizes).to_dict()
    assert meta["collector_cost"] == agent_cost(dataclasses.replace(SPLIT, depth=8), *sizes).to_dict()
    assert "collector_cost" not in trained["plain"].meta()

    def counted(config):
        return count(Cell("cell", trained["split"].path, config, {}))

    both, learner = counted(SPLIT), counted(dataclasses.replace(SPLIT, collector_depth=None))
    collector = counted(dataclasses.replace(SPLIT, depth=8, collector_depth=None))
    assert both.parameters == learner.parameters
    collected = SPLIT.seeds * SPLIT.epochs * SPLIT.epoch_env_steps * meta["cost"]["flops_per_action"]
    assert both.flops == learner.flops + collector.flops - collected
    assert collector.memory_bytes < both.memory_bytes < learner.memory_bytes + collector.memory_bytes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"collector_depth": 6}, ["--collector-depth 6", "4 or 8"]),
        ({"collector_depth": 8, "collect_depth": 4}, ["--collect-depth 4", "--collector-depth 8"]),
        (
            {"collector_depth": 8, "block": "looped", "train_recurrence": "uniform:1:2"},
            ["--collector-depth 8", "--train-recurrence"],
        ),
        (
            {"collector_depth": 4, "block": "looped", "depth": 16, "backprop_steps": 2},
            ["--collector-depth 4", "--backprop-steps 2"],
        ),
    ],
    ids=str,
)
def test_collectors_that_cannot_be_are_refused(options, words):
    with pytest.raises(ConfigError) as error:
        Config(**options)
    for word in words:
        assert word in str(error.value)


def test_the_collector_differs_in_the_depth_of_its_networks_alone():
    config = Config(block="looped", depth=8, critic_depth=16, psi_depth=4, collector_depth=12, width=24)
    collector = config.collector()
    assert [collector.trunk(name).depth for name in ("actor", "phi", "psi")] == [12, 12, 12]
    assert collector.collector() is None and Config().collector() is None
    kept = {name for name in config.to_dict() if not name.endswith("depth")}
    assert all(getattr(collector, name) == getattr(config, name) for name in kept)
