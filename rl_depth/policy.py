"""A trained agent as a function, for notebooks, evaluation and videos."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import GoalEnv

from . import runs
from .agent import Agent, AgentState
from .config import Config, ConfigError, TrunkConfig
from .training import make_agent, make_env


class Policy:
    """The agents of a run, one of which acts.

    Attributes:
      config: the run's configuration.
      env: the environment it was trained on.
      agent: the networks.
      params: parameters of the acting seed.
      epoch: the checkpoint's epoch.
    """

    def __init__(self, config: Config, env: GoalEnv, agent: Agent, params: dict[str, Any], epoch: int):
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
        obs, goal = jnp.asarray(obs, jnp.float32), jnp.asarray(goal, jnp.float32)
        for name, array, size in (("obs", obs, self.env.state_size), ("goal", goal, self.env.goal_size)):
            if array.ndim == 0 or array.shape[-1] != size:
                raise ValueError(f"{name} has shape {list(array.shape)}; its last axis must be {size}")
        if depth is None:
            depth = self.config.trunk("actor").depth
        depth = check_depth(self.config.trunk("actor"), depth)
        return self._act(self.params, obs, goal, key, jnp.int32(depth))

    @cached_property
    def _act(self) -> Any:
        def act(
            params: dict[str, Any], obs: jax.Array, goal: jax.Array, key: jax.Array | None, depth: jax.Array
        ) -> jax.Array:
            return self.agent.act(params, obs, goal, key, depth)

        return jax.jit(act)


def check_depth(trunk: TrunkConfig, depth: int) -> int:
    """Return a test depth, or raise ``ValueError`` naming what the trunk can act with."""
    layers = trunk.block_layers
    if depth < layers or depth % layers:
        raise ValueError(f"depth {depth}: must be a positive multiple of the block's {layers} layers")
    if trunk.block == "stacked" and depth > trunk.depth:
        raise ValueError(
            f"depth {depth}: this actor is stacked and has {trunk.depth} layers; only a looped one goes deeper"
        )
    return depth


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


def _params(agent: Agent, arrays: dict[str, np.ndarray], index: int, run: runs.Run) -> dict[str, Any]:
    """One seed's parameters out of a checkpoint's arrays."""
    template: AgentState = jax.eval_shape(agent.create, jax.random.key(0))

    def pick(path: Any, like: Any) -> jax.Array:
        name = ".agent.params" + jax.tree_util.keystr(path)
        found = arrays.get(name)
        if found is None or found.shape[1:] != like.shape:
            raise runs.RunError(f"{run.path}: checkpoint lacks {name} of shape {list(like.shape)}")
        return jnp.asarray(found[index])

    return jax.tree_util.tree_map_with_path(pick, template.params)
