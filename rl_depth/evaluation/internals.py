"""What trained agents hold inside: energy over a maze's floor, norms along the trunk, rank of the representations.

Axes: ``S`` seeds, ``R`` block applications, ``X, Y`` positions on the floor, ``A`` action, ``N`` samples,
``D`` representation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from rl_depth.envs.mazes import Floor, OnFloor

from .. import runs
from ..agents import Algorithm, Batch
from ..config import NETWORKS, Config, ConfigError, check_depth
from ..measured import EnergyMap, Inspection
from ..networks.block import applied
from ..networks.network import Network
from ..training.trainer import eval_split, make_env
from .heldout import HeldOut
from .policy import Policy, Which, load

_PER_CELL = 6  # positions along each side of a maze's cell
_TINY = 1e-12


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Singular values of samples ``[N, D]`` less their mean, largest first: ``[min(N, D)]``.

    The mean goes because an offset of phi and psi alike changes no distance between them, however large it is.
    """
    return np.linalg.svd(samples - samples.mean(axis=0), compute_uv=False)


def inspect(
    run: runs.Run,
    depths: Sequence[int] = (),
    *,
    goal: Sequence[float] | None = None,
    batches: int = 8,
    seed: int = 0,
    which: Which = Which(),  # noqa: B008 - frozen
) -> list[Inspection]:
    """Look into agents of a run.

    Args:
      run: the run.
      depths: test depths; the networks' own if empty.
      goal: goal of the energy map, x and y in m; if None, that of the evaluation episode that ``seed`` draws.
      batches: held-out batches of the run's batch size for norms and ranks, from episodes of each agent's own.
      seed: seed of the held-out episodes and of the start that the energy map moves over the floor.
      which: the agents.

    Returns:
      One per depth.

    Raises:
      ConfigError: a depth that the networks cannot run at, or a goal that lies in a wall.
      RunError: no usable checkpoint, or outputs that are not finite.
    """
    config = which.of(run)
    chosen: list[int | None] = [_check(config, depth) for depth in depths] or [None]
    scene = _Scene.of(config, goal, seed)
    agents = [load(run, own, epoch=which.epoch) for own in range(config.seed, config.seed + config.seeds)]
    held_out = [HeldOut.collect(policy, batches, seed) for policy in agents]
    found = []
    for depth in chosen:
        norms = _over_seeds(_norms(agents[0].agent, config, depth), agents, held_out)
        spectra = _over_seeds(_spectra(agents[0].agent, depth), agents, held_out)
        mapped = scene.draw(agents, depth) if scene is not None else None
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((norms, spectra))):
            raise runs.RunError(f"{run.path}: at depth {depth or config.depth} the networks' outputs are not finite")
        found.append(Inspection(run, config, depth, norms, spectra, mapped))
    return found


def is_looped(config: Config) -> bool:
    """Whether all networks are, so that one test depth makes sense for all."""
    return all(config.trunk(name).tied for name in NETWORKS)


def _check(config: Config, depth: int) -> int:
    try:
        return check_depth(config.trunk("actor"), depth)
    except ValueError as error:
        raise ConfigError(f"--depths: {error}") from None


def _inputs(batch: Batch) -> dict[str, jax.Array]:
    """What each network reads: ``[N, I]``."""
    return {
        "actor": jnp.concatenate([batch.state, batch.goal], axis=-1),
        "phi": jnp.concatenate([batch.state, batch.action], axis=-1),
        "psi": batch.goal,
    }


def _over_seeds(program: Any, agents: Sequence[Policy], held_out: Sequence[HeldOut]) -> Any:
    """``program(params, samples)`` of every agent on its own held-out samples, with a leading axis ``S``."""
    rows = []
    for policy, own in zip(agents, held_out, strict=True):
        samples = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), own.batches)
        rows.append(jax.device_get(program(policy.params, samples)))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def _norms(agent: Algorithm, config: Config, depth: int | None) -> Any:
    """Program: norms of every network along its trunk, ``[R]`` each."""

    @jax.jit
    def measure(params: dict[str, Any], samples: Batch) -> dict[str, dict[str, jax.Array]]:
        found = {}
        for name, inputs in _inputs(samples).items():
            count = (depth or config.trunk(name).depth) // config.trunk(name).turn_layers
            # A trunk of any depth in the memory of one application per batch: sums, not latents, leave the map.
            parts = inputs.reshape(-1, config.batch_size, inputs.shape[-1])
            rows = jax.lax.map(partial(_norms_of_batch, getattr(agent, name), params[name], count=count), parts)
            found[name] = jax.tree.map(partial(jnp.mean, axis=0), rows)
        return found

    return measure


def _norms_of_batch(net: Network, params: Any, inputs: jax.Array, *, count: int) -> dict[str, jax.Array]:
    h = applied(net, params, Network.latents, inputs, count)
    length = jnp.linalg.norm(h, axis=-1)
    residual = jnp.linalg.norm(h[1:] - h[:-1], axis=-1)
    found = {"residual": residual, "stream": length[1:], "relative": residual / (length[:-1] + _TINY)}
    return {name: values.mean(axis=-1) for name, values in found.items()}


def _spectra(agent: Algorithm, depth: int | None) -> Any:
    """Program: `spectrum` of phi and psi, ``[D]`` each."""
    encode = jax.jit(partial(agent.encode, depth=None if depth is None else jnp.int32(depth)))

    def measure(params: dict[str, Any], samples: Batch) -> dict[str, np.ndarray]:
        codes = jax.device_get(encode(params, samples))
        if not all(np.isfinite(code).all() for code in codes):
            return {name: np.full(code.shape[-1], np.nan) for name, code in zip(("phi", "psi"), codes, strict=True)}
        return {name: spectrum(code) for name, code in zip(("phi", "psi"), codes, strict=True)}

    return measure


@dataclass(frozen=True)
class _Scene:
    """A start that is moved over the floor, and the goal."""

    floor: Floor
    start: np.ndarray  # [2], m
    goal: np.ndarray  # [2], m
    x: np.ndarray  # [X], m
    y: np.ndarray  # [Y], m
    free: np.ndarray  # [X, Y] bool
    state: jax.Array  # [N, state_size], one per free position
    goals: jax.Array  # [N, goal_size]

    @classmethod
    def of(cls, config: Config, goal: Sequence[float] | None, seed: int) -> _Scene | None:
        """The scene of an evaluation episode; None for an environment without a floor."""
        env = make_env(config, eval_split(make_env(config), config))
        if not isinstance(env, OnFloor):
            return None
        state = jax.jit(env.reset)(jax.random.fold_in(jax.random.key(seed), 2))
        floor = env.floor(state)
        target = np.asarray(env.goal_position(state)[:2] if goal is None else goal, np.float32)
        if not floor.is_free(target):
            far = (np.array(floor.walls.shape) - 0.5) * floor.cell_size
            given = " ".join(f"{value:g}" for value in target)
            near = f"the floor of {config.env} reaches from {-floor.cell_size / 2:g} to {far[0]:g} and {far[1]:g} m"
            raise ConfigError(f"--goal {given}: lies in a wall or outside; {near}")
        x, y = floor.lines(_PER_CELL)
        grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
        free = floor.is_free(grid)
        at = jax.jit(jax.vmap(lambda position: env.observe_at(state, position, jnp.asarray(target))))
        obs = at(jnp.asarray(grid[free], jnp.float32))
        start = np.asarray(env.qpos(state)[:2])
        return cls(floor, start, target, x, y, free, obs[:, : env.state_size], obs[:, env.state_size :])

    def draw(self, agents: Sequence[Policy], depth: int | None) -> EnergyMap:
        """The energy map of every agent."""
        agent, traced = agents[0].agent, None if depth is None else jnp.int32(depth)

        @jax.jit
        def measure(params: dict[str, Any]) -> tuple[jax.Array, jax.Array]:
            action = agent.act(params, self.state, self.goals, None, traced)
            phi, psi = agent.encode(params, Batch(self.state, action, self.goals), traced)
            return agent.similarity(params, phi, psi), action

        found = [jax.device_get(measure(policy.params)) for policy in agents]
        energy, action = (self._spread(np.stack(values)) for values in zip(*found, strict=True))
        path, straight = np.array([self._correlations(values) for values in energy]).T
        return EnergyMap(self.floor, self.start, self.goal, self.x, self.y, energy, action, path, straight)

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """``[S, N, ...]`` of the free positions ``-> [S, X, Y, ...]``, NaN in walls."""
        whole = np.full((len(values), *self.free.shape, *values.shape[2:]), np.nan, np.float32)
        whole[:, self.free] = values
        return whole

    def _correlations(self, energy: np.ndarray) -> tuple[float, float]:
        """Of a map ``[X, Y]``: see `EnergyMap`. NaN if the energy is the same everywhere, or not finite."""
        rows, columns = self.floor.walls.shape
        free = ~self.floor.walls
        cells = energy.reshape(rows, _PER_CELL, columns, _PER_CELL).mean(axis=(1, 3))[free]
        path = self.floor.path_lengths_to(self.goal)[free]
        straight = np.linalg.norm(np.argwhere(free) - self.goal / self.floor.cell_size, axis=-1)
        known = (path >= 0) & np.isfinite(cells)
        if known.sum() < 2 or np.ptp(cells[known]) == 0:
            return float("nan"), float("nan")
        pairs = (stats.spearmanr(cells[known], -distance[known]).statistic for distance in (path, straight))
        along, across = (float(value) for value in pairs)
        return along, across
