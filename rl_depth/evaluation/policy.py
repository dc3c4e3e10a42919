"""A trained agent as a function, for notebooks, evaluation and videos."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth.envs.base import GoalEnv

from .. import runs
from ..agents import AgentState, Algorithm
from ..config import Budget, Config, ConfigError, Halt, check_depth, check_halt
from ..training.acting import begin_all
from ..training.trainer import make_agent, make_env
from .budgeted import Budgeted, Shape, Spend, check_budget


class Policy:
    """The agents of a run, one of which acts.

    Attributes:
      config: the run's configuration.
      env: the environment it was trained on.
      agent: the networks.
      params: parameters of the acting seed.
      epoch: the checkpoint's epoch.
    """

    def __init__(
        self,
        config: Config,
        env: GoalEnv,
        agent: Algorithm,
        params: dict[str, Any],
        epoch: int,
        stored: Callable[[], np.ndarray] | None = None,
    ):
        """Take what the attributes say, and what reads states ``[N, state_size]`` of the replay, if there is one."""
        self.config = config
        self.env = env
        self.agent = agent
        self.params = params
        self.epoch = epoch
        self._stored = stored

    def __call__(
        self,
        obs: np.ndarray | jax.Array,
        goal: np.ndarray | jax.Array,
        depth: int | None = None,
        key: jax.Array | None = None,
        *,
        budget: Budget | str | None = None,
    ) -> jax.Array:
        """Act.

        Args:
          obs: state part of observations, ``[..., state_size]``.
          goal: commanded goals, ``[..., goal_size]``.
          depth: dense layers to act with; the trained depth if None. One program serves all depths.
          key: draw from the policy with this key; its mode if None. With a budget, what its samples and candidates
            are drawn with; a fixed one if None.
          budget: what the action may cost instead, or its text form such as "samples=8,noise=0.1". A subgoal is chosen
            anew in each call; `budgeted` pursues it over steps.

        Returns:
          Actions in [-1, 1], ``[..., action_size]``.

        Raises:
          ValueError: wrong sizes, a depth that the trunk cannot act with, or a budget that cannot be spent.
        """
        obs, goal = self._read(obs, goal)
        if budget is not None:
            if depth is not None:
                raise ValueError(f"depth {depth}: say it in the budget, as depth={depth}")
            return self._within(obs, goal, self._check(budget), jax.random.key(0) if key is None else key)
        if depth is None:
            depth = self.config.trunk("actor").depth
        depth = check_depth(self.config.trunk("actor"), depth)
        return self._act(self.params, obs, goal, key, jnp.int32(depth))

    def budgeted(self, budget: Budget | str, env: GoalEnv | None = None) -> Budgeted:
        """The policy of a budget over the steps of an episode: `training.acting.Policy`.

        Args:
          budget: the budget, or its text form.
          env: where it acts, if not in ``self.env``; such as that of another split.

        Raises:
          ValueError: not a budget, or one that cannot be spent.
        """
        budget = self._check(budget)
        spend, states = Spend.of(budget, self.config), self.states_for(budget)
        return Budgeted(self.agent, self.params, env or self.env, Shape.of(budget), spend, states)

    def states_for(self, budget: Budget) -> jax.Array | None:
        """States ``[N, state_size]`` that a budget takes candidates from; None if it takes none from the replay.

        Raises:
          ConfigError: there is no replay.
        """
        if not budget.subgoals or budget.source != "replay":
            return None
        if self._stored is None:
            raise ConfigError("source=replay: this agent was exported without states of its replay")
        return self._states

    @cached_property
    def _states(self) -> jax.Array | None:
        return None if self._stored is None else jnp.asarray(self._stored())

    def _check(self, budget: Budget | str) -> Budget:
        budget = Budget.parse(budget) if isinstance(budget, str) else budget
        check_budget(self.config, self.env, self.agent, budget)
        return budget

    def _within(self, obs: jax.Array, goal: jax.Array, budget: Budget, key: jax.Array) -> jax.Array:
        batch = jnp.broadcast_shapes(obs.shape[:-1], goal.shape[:-1])
        flat = [jnp.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1]) for a in (obs, goal)]
        spend, states = Spend.of(budget, self.config), self.states_for(budget)
        return self._spend(self.params, *flat, key, spend, states, Shape.of(budget)).reshape(*batch, -1)

    @cached_property
    def _spend(self) -> Any:
        def act(
            params: dict[str, Any],
            obs: jax.Array,
            goal: jax.Array,
            key: jax.Array,
            spend: Spend,
            states: jax.Array | None,
            shape: Shape,
        ) -> jax.Array:
            acting = Budgeted(self.agent, params, self.env, shape, spend, states)
            return acting.act(begin_all(acting, len(obs), key), obs, goal, key)[0]

        return jax.jit(act, static_argnums=6)

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
    stored = partial(_stored_states, run, index, saved.epoch, env.state_size)
    if which.epoch != "best":
        return Policy(config, env, agent, _params(agent, saved.arrays, index, run), saved.epoch, stored)
    epochs = saved.arrays.get(f"{runs.BEST}_epoch")
    if epochs is None or epochs[index] < 0:
        raise runs.InputError(f"{run.path}: no best agent is kept; train it with --keep-best METRIC")
    params = _params(agent, saved.arrays, index, run, runs.BEST)
    return Policy(config, env, agent, params, int(epochs[index]), stored)


_STATES = 4096  # of a replay, that subgoals are drawn from


def _stored_states(run: runs.Run, index: int, epoch: int, size: int) -> np.ndarray:
    """States ``[N, size]`` out of one seed's replay, evenly over what a checkpoint holds; always the same ones.

    Raises:
      InputError: it holds none.
    """
    saved = run.load_checkpoint(epoch)
    state, last = (saved.arrays.get(f"{runs.REPLAY}{name}") for name in ("state", "last"))
    if state is None or last is None or state.shape[-1] != size:
        raise runs.InputError(f"{run.path}: source=replay: the checkpoint of epoch {epoch} has no replay")
    there = state[index][last[index] >= 0]
    return there[np.linspace(0, len(there) - 1, min(len(there), _STATES)).round().astype(int)]


def export(run: runs.Run | Path | str, file: Path, seed: int | None = None, *, epoch: int | str = "latest") -> Policy:
    """Write one agent, with all that `load` needs, to one safetensors file.

    States that subgoals are drawn from are among it if the checkpoint has a replay.

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
    with contextlib.suppress(runs.InputError):
        arrays["states"] = np.asarray(policy.states_for(Budget(subgoals=1, source="replay")))
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
    params = jax.tree.unflatten(jax.tree.structure(template.params), [jnp.asarray(arrays[name]) for name in names])
    states = arrays.get("states")
    if states is None:
        return Policy(config, env, agent, params, epoch)
    if states.ndim != 2 or states.shape[1] != env.state_size or states.dtype != np.float32 or not len(states):
        raise runs.InputError(f"{file}: states have shape {list(states.shape)}, not [N, {env.state_size}]")
    return Policy(config, env, agent, params, epoch, lambda: states)


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
