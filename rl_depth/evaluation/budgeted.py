"""A policy that spends a budget on each action: samples it chooses from, subgoals it sets itself.

Axes: ``E`` environments, ``X`` state, ``G`` goal, ``A`` action, ``K`` samples, ``M`` candidates for a subgoal, ``N``
states of a replay. ``K`` and ``M`` are bounds, powers of two: one program serves all numbers up to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp

from rl_depth.envs.base import GoalEnv

from ..agents import Algorithm
from ..config import Budget, Config, check_depth
from ..training.acting import Policy
from .subgoals import Planner

_PICK = 2**31 - 1  # stream of keys that candidates are picked with; their own are the first ones


class Spend(flax.struct.PyTreeNode):
    """The numbers of a budget; traced."""

    depth: jax.Array  # int32: dense layers
    samples: jax.Array  # int32
    noise: jax.Array  # float32
    hold: jax.Array  # int32: steps
    subgoals: jax.Array  # int32
    replan: jax.Array  # int32: steps
    oracle: jax.Array  # int32: cells

    @classmethod
    def of(cls, budget: Budget, config: Config) -> Spend:
        """Those of a budget, for the agents of a configuration."""
        depth = config.trunk("actor").depth if budget.depth is None else budget.depth
        whole = {
            name: jnp.int32(getattr(budget, name) or 0) for name in ("samples", "hold", "subgoals", "replan", "oracle")
        }
        return cls(depth=jnp.int32(depth), noise=jnp.float32(budget.sigma), **whole)


@dataclass(frozen=True)
class Shape:
    """What of a budget is part of a program's shape.

    Attributes:
      samples: bound ``K``; 0 for the mode alone.
      latents: whether samples are latent trajectories, by added noise or by the trunk's own.
      rank: as in `Budget`, and so are ``score``, ``pick`` and ``source``.
      subgoals: bound ``M``; 0 for none.
      oracle: whether it knows the shortest path.
    """

    samples: int
    latents: Literal["added", "own"] | None
    rank: str
    subgoals: int
    score: str
    pick: str
    source: str
    oracle: bool

    @classmethod
    def of(cls, budget: Budget) -> Shape:
        """The shape that serves a budget, and all like it with fewer samples and candidates."""
        return cls(
            samples=_bound(budget.samples or (1 if budget.noise else 0)),
            latents="own" if budget.noise == "own" else "added" if budget.noise else None,
            rank=budget.rank,
            subgoals=_bound(budget.subgoals),
            score=budget.score,
            pick=budget.pick,
            source=budget.source,
            oracle=budget.oracle > 0,
        )


def _bound(count: int) -> int:
    return 1 << (count - 1).bit_length() if count else 0


def check_budget(config: Config, env: GoalEnv, agent: Algorithm, budget: Budget) -> None:
    """Raise ``ValueError`` for what of a budget these agents cannot spend in this environment."""
    check_depth(config.trunk("actor"), budget.depth or config.trunk("actor").depth)
    on_floor = hasattr(env, "free_goals")
    if budget.noise == "own" and config.noise_transition is None:
        raise ValueError("noise=own: this agent was trained without --noise-transition; give a SIGMA")
    if not hasattr(agent, "energy"):
        if (budget.samples or 1) > 1 and budget.rank == "energy":
            raise ValueError(f"samples={budget.samples}: this agent has no critic to rank them; rank=medoid needs none")
        if budget.subgoals:
            raise ValueError(f"subgoals={budget.subgoals}: this agent has no critic to score them")
    if budget.subgoals and budget.source == "free" and not on_floor:
        raise ValueError(
            f"subgoals={budget.subgoals}: in {config.env} no goal can be lifted to a state; source=replay takes states "
            "that were reached in training"
        )
    if budget.oracle and not on_floor:
        raise ValueError(f"oracle={budget.oracle}: {config.env} has no shortest paths that it could know")


class Pursuit(flax.struct.PyTreeNode):
    """What a budgeted policy carries from step to step."""

    steps: jax.Array  # int32: since the episode began
    key: jax.Array  # what samples are drawn with
    subgoal: jax.Array  # [G]


@dataclass(frozen=True)
class Budgeted(Policy):
    """Acts within a budget.

    Attributes:
      agent: the networks.
      params: their parameters.
      env: knows its free space, and which goal a state achieves.
      shape: of the budget.
      spend: its numbers.
      states: of a replay ``[N, X]``, where candidates are taken from them.
    """

    agent: Algorithm
    params: dict[str, Any]
    env: Any
    shape: Shape
    spend: Spend
    states: jax.Array | None = None

    def begin(self, key: jax.Array) -> Pursuit:
        """Nothing is pursued yet."""
        return Pursuit(steps=jnp.int32(0), key=key, subgoal=jnp.zeros(self.agent.goal_size))

    def act(self, carry: Pursuit, state: jax.Array, goal: jax.Array, key: jax.Array) -> tuple[jax.Array, Pursuit]:
        """As `Policy.act`."""
        plan_key, sample_key = (jax.random.split(own, len(state)) for own in jax.random.split(key))
        renewed = (carry.steps % self.spend.hold == 0) | (carry.steps == 0)
        carry = carry.replace(key=jnp.where(renewed, sample_key, carry.key))
        pursued = goal
        if self.shape.subgoals or self.shape.oracle:
            carry = carry.replace(subgoal=self._pursue(carry, state, goal, plan_key))
            pursued = carry.subgoal
        action = jax.vmap(self.choose)(state, pursued, carry.key)
        return action, carry.replace(steps=carry.steps + 1)

    def _pursue(self, carry: Pursuit, state: jax.Array, goal: jax.Array, keys: jax.Array) -> jax.Array:
        """What each environment pursues from now on, ``[E, G]``; nothing is computed in a step that none plans in."""
        due = carry.steps % self.spend.replan == 0

        def plan(_: None) -> jax.Array:
            if self.shape.score == "graph":  # M^2 hops of one environment fill the machine, those of all its memory
                found = jax.lax.map(lambda own: self.plan(*own), (state, goal, keys))
            else:
                found = jax.vmap(self.plan)(state, goal, keys)
            return jnp.where(due[:, None], found, carry.subgoal)

        return jax.lax.cond(due.any(), plan, lambda _: carry.subgoal, None)

    def plan(self, state: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
        """A subgoal ``[G]`` on the way from ``state [X]`` to ``goal [G]``, or that goal itself."""
        if self.shape.oracle:
            return self.env.goal_ahead(jnp.concatenate([state, goal]), self.spend.oracle)
        planner = Planner(self.agent, self.params, self.env, self.shape.score, self.shape.pick, self.spend.depth)
        candidates = planner.candidates(state, goal, key, self.shape.subgoals, self.states)
        pick_key = jax.random.fold_in(key, _PICK)
        return planner.best(state, goal, candidates, self.spend.subgoals, pick_key)

    def choose(self, state: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
        """An action ``[A]`` in ``state [X]`` towards ``goal [G]``."""
        bound, agent, depth = self.shape.samples, self.agent, self.spend.depth
        if not bound:
            return agent.act(self.params, state, goal, None, depth)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(bound))
        noise = self.spend.noise if self.shape.latents == "added" else self.shape.latents
        actions = agent.proposals(self.params, state, goal, keys, depth, noise)
        if bound == 1:
            return actions[0]
        there = jnp.arange(bound) < self.spend.samples
        if self.shape.rank == "medoid":
            return actions[medoid(actions, there)]
        energy = agent.energy(self.params, jnp.broadcast_to(state, (bound, *state.shape)), actions, goal)
        return actions[jnp.argmax(jnp.where(there, energy, -jnp.inf))]


def medoid(points: jax.Array, there: jax.Array) -> jax.Array:
    """Index of the point whose distances to all others add up to least, among ``points [K, A]`` that are ``there``."""
    apart = jnp.sqrt(jnp.sum(jnp.square(points[:, None] - points), axis=-1))
    return jnp.argmin(jnp.where(there, apart @ there.astype(apart.dtype), jnp.inf))
