"""Choosing a subgoal by the critic: candidates, the energies of hops between them, and how these are weighed up.

Axes: ``X`` state, ``G`` goal, ``M`` candidates, ``D`` representation, ``N`` states of a replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from ..agents import Algorithm, Batch
from ..agents.cost import GRAPH_HOPS
from ..config import NEIGHBOURS


class Candidates(flax.struct.PyTreeNode):
    """Where a policy might go first."""

    states: jax.Array  # [M, X]
    goals: jax.Array  # [M, G]: what they achieve


@dataclass(frozen=True)
class Planner:
    """Ranks candidates for one environment.

    The energy of a hop is that of the actor's mode action at its start. A candidate is pursued only if the smaller
    energy of its two hops exceeds that of going to the commanded goal at once: otherwise that is within one hop.

    Attributes:
      agent: the networks.
      params: their parameters.
      env: lifts goals to states where it can.
      score, pick: as in `config.Budget`.
      depth: dense layers of the actor; traced.
    """

    agent: Algorithm
    params: dict[str, Any]
    env: Any
    score: str
    pick: str
    depth: jax.Array

    def candidates(
        self, state: jax.Array, goal: jax.Array, key: jax.Array, count: int, stored: jax.Array | None
    ) -> Candidates:
        """Candidates from ``stored [N, X]``, or from free space if None; the first ones whatever the ``count``.

        Where a goal can be lifted to a state they are states of the present maze, whatever they were when stored.
        """
        lifts = hasattr(self.env, "lift")
        if stored is None:
            goals = self.env.free_goals(jnp.concatenate([state, goal]), key, count)
        else:
            picks = jax.vmap(lambda i: jax.random.randint(jax.random.fold_in(key, i), (), 0, len(stored)))
            states = stored[picks(jnp.arange(count))]
            goals = self.env.achieved_goal(states)
        if lifts:
            states = self.env.lift(jnp.broadcast_to(state, (count, *state.shape)), goals)
        return Candidates(states, goals)

    def best(
        self, state: jax.Array, goal: jax.Array, candidates: Candidates, count: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The goal ``[G]`` to pursue from ``state [X]`` to ``goal [G]``, among the first ``count`` candidates.

        ``key`` is what ``pick=draw`` draws with.
        """
        bound = len(candidates.goals)
        goals = jnp.concatenate([candidates.goals, goal[None]])
        ahead, psi = self._codes(jnp.broadcast_to(state, (bound + 1, *state.shape)), goals)
        behind, _ = self._codes(candidates.states, jnp.broadcast_to(goal, candidates.goals.shape))
        first = self._energy(ahead, psi)
        last = self._energy(behind, psi[-1])
        there = jnp.arange(bound) < count
        if self.score == "graph":
            between = self._between(candidates, psi[:-1])
            return goals[shortest_first_hop(first, last, between, there)]
        weaker = jnp.minimum(first[:-1], last)
        if self.score == "gaussian":
            here = self._psi(state, self.env.achieved_goal(state))
            waypoint = gaussian_waypoint(behind, psi[:-1], there, here, psi[-1])
            value = -jnp.sum(jnp.square(psi[:-1] - waypoint), axis=-1)
        else:
            value = weaker if self.score == "min" else first[:-1] + last
        if self.pick == "bound":
            value = lower_bound(value, psi[:-1], there)
        if self.pick == "draw":  # the largest after Gumbel noise is drawn with the softmax as weight
            value += jax.vmap(lambda i: jax.random.gumbel(jax.random.fold_in(key, i)))(jnp.arange(bound))
        chosen = jnp.argmax(jnp.where(there, value, -jnp.inf))
        return jnp.where(weaker[chosen] > first[-1], goals[chosen], goal)

    def _between(self, candidates: Candidates, psi: jax.Array) -> jax.Array:
        """Energies ``[M, M]`` of hops from each candidate (rows) to each (columns)."""
        count = len(psi)
        states = jnp.repeat(candidates.states, count, axis=0)
        phi, _ = self._codes(states, jnp.tile(candidates.goals, (count, 1)))
        return self._energy(phi.reshape(count, count, -1), psi)

    def _codes(self, states: jax.Array, goals: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``phi [..., D]`` of states and the actor's actions towards goals, and ``psi [..., D]`` of the goals."""
        actions = self.agent.act(self.params, states, goals, None, self.depth)
        return self.agent.encode(self.params, Batch(states, actions, goals))

    def _psi(self, state: jax.Array, goal: jax.Array) -> jax.Array:
        action = jnp.zeros(self.agent.action_size)
        return self.agent.encode(self.params, Batch(state, action, goal))[1]

    def _energy(self, phi: jax.Array, psi: jax.Array) -> jax.Array:
        return self.agent.similarity(self.params, phi, psi)


def shortest_first_hop(first: jax.Array, last: jax.Array, between: jax.Array, there: jax.Array) -> jax.Array:
    """First place to go to on the shortest path over candidates: an index of one, or ``M`` for the goal at once.

    A hop is as long as its energy lies below the largest of all, squared: long hops, whose energies say least, cost
    more than as many short ones (search on the replay buffer, arXiv 1906.05253, cuts them off; TTGS, arXiv 2510.07257,
    penalises them). Paths have at most ``1 + GRAPH_HOPS`` hops.

    Args:
      first: energies from the state to each candidate and, last, to the goal: ``[M + 1]``.
      last: from each candidate to the goal, ``[M]``.
      between: from each (rows) to each (columns), ``[M, M]``.
      there: which candidates there are, ``[M]``.
    """
    known = (jnp.append(there, True), there, there & there[:, None])
    energies = [jnp.where(own, energy, -jnp.inf) for own, energy in zip(known, (first, last, between), strict=True)]
    top = jnp.max(jnp.stack([energy.max() for energy in energies]))
    near, far, hops = (jnp.square(top - energy) for energy in energies)
    left = jax.lax.fori_loop(0, GRAPH_HOPS - 1, lambda _, d: jnp.minimum(d, (hops + d).min(axis=1)), far)
    return jnp.argmin(near + jnp.append(left, 0.0))


def lower_bound(value: jax.Array, psi: jax.Array, there: jax.Array) -> jax.Array:
    """Mean less standard deviation of each candidate's ``value [M]`` over the candidates nearest to it: ``[M]``.

    The best of many values is the one whose error is largest, the more so the more there are. A share of all candidates
    stands for each, one in ``NEIGHBOURS``, so that errors cancel the better the more there are. Distances are between
    ``psi [M, D]``, which a critic puts near each other where one is soon reached from the other, and walls apart.
    """
    apart = jnp.sum(jnp.square(psi[:, None] - psi), axis=-1)
    apart = jnp.where(there, apart, jnp.inf)
    nearest = jnp.argsort(apart, axis=1)  # [M, M]: itself first
    near = jnp.arange(len(value)) < there.sum() // NEIGHBOURS
    mean = jnp.mean(value[nearest], axis=1, where=near)
    return mean - jnp.std(value[nearest], axis=1, where=near)


def gaussian_waypoint(phi: jax.Array, psi: jax.Array, there: jax.Array, start: jax.Array, goal: jax.Array) -> jax.Array:
    """The most likely code ``[D]`` half way between two, in closed form: one linear solve.

    Contrastive planning (arXiv 2403.04082): with ``psi ~ N(0, c I)`` and ``phi = A psi``, codes on the way have a
    precision of ``(c + 1)/c I + c/(c + 1) A'A`` and information ``A psi_start + A' psi_goal``. The paper
    trains ``A``; here it is fitted to the candidates by least squares, with a ridge, and ``c`` is their mean square.

    Args:
      phi, psi: codes of the candidates as states and as goals, ``[M, D]``.
      there: which candidates there are, ``[M]``.
      start, goal: ``psi`` of both ends, ``[D]``.
    """
    size = psi.shape[-1]
    phi, psi = (jnp.where(there[:, None], codes, 0.0) for codes in (phi, psi))
    c = jnp.sum(jnp.square(psi)) / (size * there.sum())
    gram = psi.T @ psi + _RIDGE * c * there.sum() * jnp.eye(size)
    a = jnp.linalg.solve(gram, psi.T @ phi).T  # [D, D]
    precision = (c + 1) / c * jnp.eye(size) + c / (c + 1) * a.T @ a
    return jnp.linalg.solve(precision, a @ start + a.T @ goal)


_RIDGE = 1e-2  # of the mean square of the codes
