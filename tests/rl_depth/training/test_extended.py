"""A run that goes on with more steps is the run that was longer from the start; all else stays as it was."""

import dataclasses

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.config import Config, ConfigError
from rl_depth.training import session

from ..conftest import TINY

SHORT = Config(**TINY | {"env_steps": 800, "evals": 5})
LONG = dataclasses.replace(SHORT, env_steps=1600, evals=10)


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def test_a_run_extended_equals_one_that_was_longer_from_the_start(tmp_path):
    session.train(SHORT, tmp_path / "run")
    run = session.train(LONG, tmp_path / "run", resume=True)
    wanted = session.train(LONG, tmp_path / "long")
    assert run.metrics() == wanted.metrics()
    assert_equal(run.load_checkpoint().arrays, wanted.load_checkpoint().arrays)
    assert run.config() == dataclasses.replace(LONG, backend="planar")
    begun, changed = run.meta()["history"]
    assert begun["epoch"] == 0 and begun["env_steps"] == 800
    assert changed == {"epoch": 10, "env_steps": 1600, "evals": 10}
    assert [one["from_epoch"] for one in run.meta()["sessions"]] == [0, 10]


def test_an_option_that_makes_another_agent_is_refused_by_name(tmp_path):
    session.train(SHORT, tmp_path / "run")
    before = (tmp_path / "run" / "config.toml").read_bytes()
    with pytest.raises(ConfigError, match="--width 8 there, 16 here"):
        session.train(dataclasses.replace(LONG, width=16), tmp_path / "run", resume=True)
    with pytest.raises(ConfigError, match=r"--env-steps 400: .* has had 800 already"):
        session.train(dataclasses.replace(SHORT, env_steps=400), tmp_path / "run", resume=True)
    with pytest.raises(ConfigError, match="add --resume"):
        session.train(LONG, tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").read_bytes() == before


def test_a_curriculum_over_the_run_cannot_be_made_longer(tmp_path):
    law = {"block": "looped", "depth": None, "train_recurrence": "curriculum:1:2"}
    short, long = (dataclasses.replace(one, **law) for one in (SHORT, LONG))
    with runs.hold(tmp_path / "run", short, resume=False):
        pass
    with pytest.raises(ConfigError, match=r"--env-steps 1600: --train-recurrence curriculum:1:2"):
        session.train(long, tmp_path / "run", resume=True)
    with runs.hold(tmp_path / "run", dataclasses.replace(short, evals=2), resume=True, change=True):
        pass


def test_a_finished_run_is_left_alone_and_nothing_is_compiled(tmp_path, monkeypatch):
    run = session.train(SHORT, tmp_path / "run")
    meta = run.meta()
    monkeypatch.setattr(session.Programs, "compiling", lambda *_: pytest.fail("compiled"))
    session.train(SHORT, tmp_path / "run", resume=True)
    assert run.status()["state"] == "finished" and run.meta() == meta


def test_a_whole_checkpoint_of_an_earlier_version_is_gone_on_from(tmp_path):
    """Version 0.1 kept the replay in the checkpoint itself."""
    wanted = session.train(LONG, tmp_path / "long")
    run = session.train(SHORT, tmp_path / "run")
    saved = run.load_checkpoint()
    run.save_checkpoint(saved.epoch, saved.arrays, keep=1)
    assert list((run.path / "replay").iterdir()) == []
    session.train(LONG, run.path, resume=True)
    assert_equal(run.load_checkpoint().arrays, wanted.load_checkpoint().arrays)
