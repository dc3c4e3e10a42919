"""Runs on MuJoCo's C engine."""

import shutil

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.config import Config
from rl_depth.envs.engine import Engine
from rl_depth.training import session

from ..conftest import TINY

RUN = {
    "env": "reacher",
    "backend": "mujoco",
    "env_steps": 480,
    "evals": 3,
    "seeds": 2,
    "checkpoint_every": 1,
    "keep_checkpoints": 9,
}
CONFIG = Config(**TINY | RUN)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, left alone."""
    return session.train(CONFIG, tmp_path_factory.mktemp("physics") / "run")


def assert_same(found, wanted):
    arrays, others = found.load_checkpoint().arrays, wanted.load_checkpoint().arrays
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert found.metrics() == wanted.metrics()


def test_a_run_that_goes_on_from_a_checkpoint_ends_bit_for_bit_the_same(trained, tmp_path):
    run = runs.Run(shutil.copytree(trained.path, tmp_path / "run"))
    first = run.metrics()[0]["epoch"]
    run.drop_checkpoints_after(first)
    assert run.load_checkpoint().epoch == first < trained.load_checkpoint().epoch
    assert_same(session.train(CONFIG, run.path, resume=True), trained)
    assert "physics_failures" not in run.timing()[-1]


def test_copies_that_diverge_are_counted_and_leave_only_finite_numbers(tmp_path, monkeypatch):
    plain, calls = Engine._step_all, []

    def now_and_then(self, frames, q, qd, activation, warm_start, control):
        calls.append(frames)
        if frames > 1 and len(calls) % 50 == 0:
            control = np.array(control)
            control[..., :1, 0] = np.nan  # of the first copy
        return plain(self, frames, q, qd, activation, warm_start, control)

    monkeypatch.setattr(Engine, "_step_all", now_and_then)
    run = session.train(CONFIG, tmp_path / "run")
    assert sum(row.get("physics_failures", 0) for row in runs.Run(run.path).timing()) > 0
    for name, array in run.load_checkpoint().arrays.items():
        if np.issubdtype(array.dtype, np.floating):
            assert np.isfinite(array).all(), name
    assert run.status()["diverged"] == {}
