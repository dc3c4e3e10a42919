"""Environments compiled once for all tests of this folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import pytest

import envs
from envs.base import GoalEnv

BATCH = 2


@dataclasses.dataclass(frozen=True)
class Compiled:
    """An environment, and its reset and step over a batch of two."""

    env: GoalEnv
    reset: Callable[..., Any]
    step: Callable[..., Any]


@functools.cache
def _compile(name: str, split: str | None = None) -> Compiled:
    env = envs.make(name, split=split)
    return Compiled(env, jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step)))


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Compiled]:
    """``compiled(name, split)``; each pair is made once, and compiled when first called."""
    return _compile
