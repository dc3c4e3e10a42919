"""Who acts in a rollout: a policy, which may carry something from step to step.

Axes: ``E`` environments, ``X`` state, ``G`` goal, ``A`` action. Carries have leaves ``[E, ...]``; the plain policy's is
empty and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Carry = Any


class Policy:
    """Chooses actions for all environments at once."""

    @property
    def most(self) -> int:
        """The largest number of block applications that an action may take, where a policy chooses it for each state.

        0 where it does not.
        """
        return 0

    def begin(self, key: jax.Array) -> Carry:
        """What one environment's episode begins with; no leading axis. It does not depend on parameters."""
        del key
        return ()

    def act(self, carry: Carry, state: jax.Array, goal: jax.Array, key: jax.Array) -> tuple[jax.Array, Carry]:
        """Actions ``[E, A]`` for ``state [E, X]`` and ``goal [E, G]``, and what to carry on."""
        raise NotImplementedError

    def spent(self, carry: Carry) -> jax.Array:
        """Block applications that the latest actions took, ``[E]`` int32, of a policy with ``most``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Plain(Policy):
    """A policy that carries nothing: ``choose(state, goal, key) -> action``."""

    choose: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

    def act(self, carry: Carry, state: jax.Array, goal: jax.Array, key: jax.Array) -> tuple[jax.Array, Carry]:
        """As `Policy.act`."""
        return self.choose(state, goal, key), carry


@dataclass(frozen=True)
class Halting(Policy):
    """A policy that chooses how often it applies its block: ``choose(state, goal, key) -> action, applications``."""

    choose: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    largest: int

    @property
    def most(self) -> int:
        """As `Policy.most`."""
        return self.largest

    def begin(self, key: jax.Array) -> Carry:
        """Nothing has been spent."""
        del key
        return jnp.int32(0)

    def act(self, carry: Carry, state: jax.Array, goal: jax.Array, key: jax.Array) -> tuple[jax.Array, Carry]:
        """As `Policy.act`; carries what was spent."""
        del carry
        return self.choose(state, goal, key)

    def spent(self, carry: Carry) -> jax.Array:
        """As `Policy.spent`."""
        return carry


@dataclass(frozen=True)
class Both(Policy):
    """Two plain policies, each of which acts in one half of the environments."""

    first: Plain
    second: Plain

    def act(self, carry: Carry, state: jax.Array, goal: jax.Array, key: jax.Array) -> tuple[jax.Array, Carry]:
        """As `Policy.act`."""
        halves = zip(jnp.split(state, 2), jnp.split(goal, 2), (self.first, self.second), strict=True)
        return jnp.concatenate([own.choose(s, g, key) for s, g, own in halves]), carry


def begin_all(policy: Policy, count: int, key: jax.Array) -> Carry:
    """Carries ``[E, ...]`` of fresh episodes in ``count`` environments."""
    return jax.vmap(policy.begin)(jax.random.split(key, count))
