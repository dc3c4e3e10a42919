"""A trained agent as a function, for notebooks, evaluation and videos."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth.envs.base import GoalEnv

from .. import runs
from ..agents import AgentState, Algorithm
from ..config import Config, ConfigError, Halt, check_depth, check_halt
from ..training.trainer import make_agent, make_env


class Policy:
    """The agents of a run, one of which acts.

    Attributes:
      config: the run's configuration.
      env: the environment it was trained on.
      agent: the networks.
      params: parameters of the acting seed.
      epoch: the checkpoint's epoch.
    """

    def __init__(self, config: Config, env: GoalEnv, agent: Algorithm, params: dict[str, Any], epoch: int):
        self.config = config
        self.env = env
        self.agent = agent
        self.params = params
        self.epoch = epoch

    def __call__(
        self,
        obs: np.ndarray | jax.Array,
        goal: np.ndarray | jax.Array,
        depth: int | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Act.

        Args:
          obs: state part of observations, ``[..., state_size]``.
          goal: commanded goals, ``[..., goal_size]``.
          depth: dense layers to act with; the trained depth if None. One program serves all depths.
          key: draw from the policy with this key; its mode if None.

        Returns:
          Actions in [-1, 1], ``[..., action_size]``.

        Raises:
          ValueError: wrong sizes, or a depth that the trunk cannot act with.
        """
        obs, goal = self._read(obs, goal)
        if depth is None:
            depth = self.config.trunk("actor").depth
        depth = check_depth(self.config.trunk("actor"), depth)
        return self._act(self.params, obs, goal, key, jnp.int32(depth))

    def until(
        self,
        obs: np.ndarray | jax.Array,
        goal: np.ndarray | jax.Array,
        halt: Halt | str,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Act with a depth chosen for each state.

        Args:
          obs: as in `__call__`.
          goal: as in `__call__`.
          halt: the rule, or its text form such as "fixed-point:0.01".
          key: as in `__call__`.

        Returns:
          Actions ``[..., action_size]`` and the dense layers taken ``[...]``, int32.

        Raises:
          ValueError: wrong sizes, not a rule, or a bound that the trunk cannot act with.
        """
        obs, goal = self._read(obs, goal)
        halt = Halt.parse(halt) if isinstance(halt, str) else halt
        check_halt(self.config, halt)
        batch = jnp.broadcast_shapes(obs.shape[:-1], goal.shape[:-1])
        flat = (jnp.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1]) for a in (obs, goal))
        action, depth = self._act_until(self.params, *flat, key, halt)
        return action.reshape(*batch, -1), depth.reshape(batch)

    def _read(self, obs: np.ndarray | jax.Array, goal: np.ndarray | jax.Array) -> tuple[jax.Array, jax.Array]:
        obs, goal = jnp.asarray(obs, jnp.float32), jnp.asarray(goal, jnp.float32)
        for name, array, size in (("obs", obs, self.env.state_size), ("goal", goal, self.env.goal_size)):
            if array.ndim == 0 or array.shape[-1] != size:
                raise ValueError(f"{name} has shape {list(array.shape)}; its last axis must be {size}")
        return obs, goal

    @cached_property
    def _act_until(self) -> Any:
        def act(
            params: dict[str, Any], obs: jax.Array, goal: jax.Array, key: jax.Array | None, halt: Halt
        ) -> tuple[jax.Array, jax.Array]:
            return self.agent.act_until(params, obs, goal, halt, key)

        return jax.jit(act, static_argnums=4)

    @cached_property
    def _act(self) -> Any:
        def act(
            params: dict[str, Any], obs: jax.Array, goal: jax.Array, key: jax.Array | None, depth: jax.Array
        ) -> jax.Array:
            return self.agent.act(params, obs, goal, key, depth)

        return jax.jit(act)


def load(run: runs.Run | Path | str, seed: int | None = None) -> Policy:
    """The agent of a run's latest undamaged checkpoint.

    Args:
      run: a run folder.
      seed: which of the run's seeds; its first if None.

    Raises:
      RunError: no run folder, or no usable checkpoint.
      ConfigError: the run has no such seed.
    """
    run = run if isinstance(run, runs.Run) else runs.open_run(run)
    config = run.config()
    seeds = list(range(config.seed, config.seed + config.seeds))
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise ConfigError(f"seed {seed}: {run.path} has seeds {seeds[0]} to {seeds[-1]}")
    env = make_env(config)
    agent = make_agent(config, env)
    saved = run.load_checkpoint()
    return Policy(config, env, agent, _params(agent, saved.arrays, seeds.index(seed), run), saved.epoch)


def _params(agent: Algorithm, arrays: dict[str, np.ndarray], index: int, run: runs.Run) -> dict[str, Any]:
    """One seed's parameters out of a checkpoint's arrays: their average, if training kept one."""
    template: AgentState = jax.eval_shape(agent.create, jax.random.key(0))
    kind = "params" if template.average is None else "average"

    def pick(path: Any, like: Any) -> jax.Array:
        name = f".agent.{kind}{jax.tree_util.keystr(path)}"
        found = arrays.get(name)
        if found is None or found.shape[1:] != like.shape:
            raise runs.RunError(f"{run.path}: checkpoint lacks {name} of shape {list(like.shape)}")
        return jnp.asarray(found[index])

    return jax.tree_util.tree_map_with_path(pick, template.params)
