"""Environments compiled once for all tests of this folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from rl_depth import envs
from rl_depth.device import physics_options
from rl_depth.envs.base import GoalEnv

BATCH = 2


@dataclasses.dataclass(frozen=True)
class Compiled:
    """An environment, and its reset and step over a batch of two."""

    env: GoalEnv
    reset: Callable[..., Any]
    step: Callable[..., Any]

    def assert_finite(self, state: Any) -> None:
        """Physics that has gone wrong before stays so, for positions are integrated."""
        parts = (state.obs, state.metrics, jax.vmap(self.env.qpos)(state))
        for path, leaf in jax.tree_util.tree_leaves_with_path(parts):
            assert jnp.isfinite(leaf).all(), path


@functools.cache
def _compile(name: str, split: str | None = None, backend: str | None = None) -> Compiled:
    env = envs.make(name, split=split, backend=backend)
    options = physics_options(env)
    reset, step = (jax.jit(jax.vmap(program), compiler_options=options) for program in (env.reset, env.step))
    return Compiled(env, reset, step)


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Compiled]:
    """``compiled(name, split, backend)``; each triple is made once, and compiled when first called."""
    return _compile


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one environment run in one process, which then compiles it once."""
    for item in items:
        options = item.callspec.params if hasattr(item, "callspec") else {}
        if "compiled" in item.fixturenames and "name" in options:
            item.add_marker(pytest.mark.xdist_group(options["name"].split(":")[0]))
