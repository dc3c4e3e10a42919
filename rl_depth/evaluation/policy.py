"""A trained agent as a function, for notebooks, evaluation and videos."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Which:
    """Which of a run's agents.

    Attributes:
      epoch: of a checkpoint that was kept, "latest", or "best", which a run has that was trained with ``--keep-best``:
        each seed at its own best evaluation.
      seed: the one with this seed; all, or the first where one is shown, if None.
    """

    epoch: int | str = "latest"
    seed: int | None = None

    @classmethod
    def parse(cls, epoch: str | None, seed: int | None) -> Which:
        """Read the options ``--epoch`` and ``--agent-seed``.

        Raises:
          ConfigError: the first is neither a number nor a word that is known.
        """
        if epoch is None or epoch in ("latest", "best"):
            return cls(epoch or "latest", seed)
        if not epoch.isdecimal() or len(epoch) > _DIGITS:
            raise ConfigError(f"--epoch {epoch}: must be a checkpoint's epoch, best or latest")
        return cls(int(epoch), seed)

    def of(self, run: runs.Run) -> Config:
        """The run's configuration, with these seeds alone.

        Raises:
          ConfigError: it has no such seed.
        """
        config = run.config()
        if self.seed is None:
            return config
        seeds = range(config.seed, config.seed + config.seeds)
        if self.seed not in seeds:
            known = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]} alone"
            raise ConfigError(f"--agent-seed {self.seed}: {run.path} has {known}")
        return replace(config.of_seed(self.seed), seed=self.seed, seeds=1)


_DIGITS = 10  # of an epoch


def load(run: runs.Run | Path | str, seed: int | None = None, *, epoch: int | str = "latest") -> Policy:
    """An agent of a run, or one that `export` wrote to a file.

    Args:
      run: a run folder, or the file.
      seed: which of the run's seeds; its first if None.
      epoch: of a checkpoint that was kept, "latest" for the latest undamaged one, or "best"; see `Which`.

    Raises:
      RunError: no run folder and no such file, or no usable checkpoint.
      ConfigError: the run has no such seed, or ``epoch`` is none of these.
    """
    if not isinstance(run, runs.Run) and Path(run).is_file():
        return _from_file(Path(run), seed)
    run = run if isinstance(run, runs.Run) else runs.open_run(run)
    which = Which.parse(str(epoch), seed)
    config = run.config()
    index = which.of(run).seed - config.seed
    env = make_env(config)
    agent = make_agent(config, env)
    saved = run.load_checkpoint(which.epoch if isinstance(which.epoch, int) else None, replay=False)
    if which.epoch != "best":
        return Policy(config, env, agent, _params(agent, saved.arrays, index, run), saved.epoch)
    epochs = saved.arrays.get(f"{runs.BEST}_epoch")
    if epochs is None or epochs[index] < 0:
        raise runs.InputError(f"{run.path}: no best agent is kept; train it with --keep-best METRIC")
    return Policy(config, env, agent, _params(agent, saved.arrays, index, run, runs.BEST), int(epochs[index]))


def export(run: runs.Run | Path | str, file: Path, seed: int | None = None, *, epoch: int | str = "latest") -> Policy:
    """Write one agent, with all that `load` needs, to one safetensors file.

    Args:
      run: a run folder.
      file: to write.
      seed: as in `load`.
      epoch: as in `load`.

    Returns:
      The agent.

    Raises:
      RunError: as in `load`, or the file cannot be written.
      ConfigError: as in `load`.
    """
    run = run if isinstance(run, runs.Run) else runs.open_run(run)
    policy = load(run, seed, epoch=epoch)
    config = Which(seed=run.config().seed if seed is None else seed).of(run)
    arrays = {f"params{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in _leaves(policy.params)}
    runs.write_agent(file, arrays, config, policy.epoch)
    return policy


def _from_file(file: Path, seed: int | None) -> Policy:
    arrays, config, epoch = runs.read_agent(file)
    if seed not in (None, config.seed):
        raise ConfigError(f"seed {seed}: {file} holds the agent of seed {config.seed}")
    env = make_env(config)
    agent = make_agent(config, env)
    template: AgentState = jax.eval_shape(agent.create, jax.random.key(0))
    names = [f"params{jax.tree_util.keystr(path)}" for path, _ in _leaves(template.params)]
    for name, (_, like) in zip(names, _leaves(template.params), strict=True):
        if name not in arrays or arrays[name].shape != like.shape or arrays[name].dtype != like.dtype:
            raise runs.InputError(f"{file}: lacks {name} of shape {list(like.shape)}")
    leaves = [jnp.asarray(arrays[name]) for name in names]
    return Policy(config, env, agent, jax.tree.unflatten(jax.tree.structure(template.params), leaves), epoch)


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _params(
    agent: Algorithm, arrays: dict[str, np.ndarray], index: int, run: runs.Run, whose: str = ""
) -> dict[str, Any]:
    """One seed's parameters out of a checkpoint's arrays, or their average, if training kept one.

    ``whose`` is what their names begin with.
    """
    template: AgentState = jax.eval_shape(agent.create, jax.random.key(0))
    kind = "params" if template.average is None else "average"

    def pick(path: Any, like: Any) -> jax.Array:
        name = f"{whose}.agent.{kind}{jax.tree_util.keystr(path)}"
        found = arrays.get(name)
        if found is None or found.shape[1:] != like.shape:
            raise runs.RunError(f"{run.path}: checkpoint lacks {name} of shape {list(like.shape)}")
        return jnp.asarray(found[index])

    return jax.tree_util.tree_map_with_path(pick, template.params)
