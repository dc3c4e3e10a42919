"""Which agent of a run acts: of an epoch that was kept, the best, of one seed, or out of a file."""

import numpy as np
import pytest

import rl_depth
from rl_depth import runs
from rl_depth.config import Config, ConfigError, InputError
from rl_depth.evaluation import capability, policy
from rl_depth.training import session

from ..conftest import TINY

OBS, GOAL = np.zeros(4, np.float32), np.ones(2, np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = Config(**TINY | {"seeds": 2, "keep_checkpoints": 5, "keep_best": "dist_final", "seed": 3})
    return session.train(config, tmp_path_factory.mktemp("runs") / "run")


def params_of(run, epoch, index):
    arrays = run.load_checkpoint(epoch).arrays
    return {n.removeprefix(".agent.params"): a[index] for n, a in arrays.items() if n.startswith(".agent.params")}


def flat(params):
    import jax

    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name])


def test_the_best_agent_of_each_seed_is_that_of_its_best_evaluation(run):
    for index, seed in enumerate((3, 4)):
        rows = [row for row in run.metrics() if row["seed"] == seed]
        best = min(rows, key=lambda row: row["dist_final"])
        loaded = policy.load(run, seed, epoch="best")
        assert loaded.epoch == best["epoch"]
        assert_equal(flat(loaded.params), params_of(run, best["epoch"], index))


def test_an_epoch_that_was_kept_is_loaded_and_another_is_refused(run):
    assert run.load_checkpoint(replay=False).epoch == 20
    loaded = policy.load(run, 4, epoch=8)
    assert loaded.epoch == 8
    assert_equal(flat(loaded.params), params_of(run, 8, 1))
    with pytest.raises(InputError, match="no checkpoint of epoch 9; kept are 4, 8, 12, 16, 20"):
        policy.load(run, epoch=9)
    for word in ("last", "-1", "9" * 5000, "1e3"):
        with pytest.raises(ConfigError, match="must be a checkpoint's epoch, best or latest"):
            policy.Which.parse(word, None)


def test_results_of_other_settings_have_other_names(run):
    def named(**options):
        protocol = capability.Protocol(episodes=2, **options)
        return protocol.name(capability.evaluate_run(run, protocol)), capability.evaluate_run(run, protocol)

    which = policy.Which
    settings = [
        {},
        {"seed": 1},
        {"depths": (4,)},
        {"which": which(8)},
        {"which": which("best")},
        {"which": which(20, 4)},
    ]
    found = [named(**options) for options in settings]
    assert len({name for name, _ in found}) == len(settings)
    assert found[0][0] == "eval-mode-episodes2-seed0-epoch20"
    assert [row["seed"] for row in found[0][1]] == [3, 4] and [row["seed"] for row in found[-1][1]] == [4]
    assert len(capability.Protocol(depths=tuple(range(4, 4000, 4))).name([{"split": "eval", "epoch": 1}])) < 120
    with pytest.raises(ConfigError, match=r"--agent-seed 9: .* has seeds 3 to 4"):
        capability.evaluate_run(run, capability.Protocol(which=which(seed=9)))


def test_an_exported_agent_acts_alike_from_its_file_alone(run, tmp_path):
    file = tmp_path / "out" / "agent.safetensors"
    policy.export(run, file, 4, epoch="best")
    wanted, loaded = policy.load(run, 4, epoch="best"), rl_depth.load(str(file))
    np.testing.assert_array_equal(loaded(OBS, GOAL), wanted(OBS, GOAL))
    assert loaded.epoch == wanted.epoch and (loaded.config.seed, loaded.config.seeds) == (4, 1)
    with pytest.raises(ConfigError, match=r"seed 3: .* seed 4"):
        rl_depth.load(file, 3)


@pytest.mark.parametrize("damage", ["cut", "text", "checkpoint", "empty"])
def test_a_file_that_is_no_agent_is_refused_in_one_line(run, tmp_path, damage):
    file = tmp_path / "agent.safetensors"
    policy.export(run, file)
    data = file.read_bytes()
    checkpoint = run.path / "checkpoints" / "00000020.safetensors"
    file.write_bytes({"cut": data[:-3], "text": b"hello", "checkpoint": checkpoint.read_bytes(), "empty": b""}[damage])
    with pytest.raises(InputError, match="not an agent that rl-depth export wrote") as caught:
        rl_depth.load(file)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_best_agent_says_how_to_keep_one(tmp_path):
    with runs.hold(tmp_path / "run", Config(**TINY), resume=False) as run:
        run.save_checkpoint(4, {"a": np.zeros(1)}, keep=1)
    with pytest.raises(InputError, match="--keep-best"):
        policy.load(run, epoch="best")


def test_a_metric_that_evaluations_lack_is_refused_before_the_folder_is_made(tmp_path):
    with pytest.raises(ConfigError, match="--keep-best success_an: did you mean success_any"):
        session.train(Config(**TINY, keep_best="success_an"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
