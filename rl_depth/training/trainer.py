"""Training: pure programs over one typed state, and the thin loop on the host around them.

An epoch is one `Trainer.collect` (``num_envs * unroll`` environment steps) and one `Trainer.learn` (``updates``
gradient steps). Leading axis of every state: ``S`` seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rl_depth import envs
from rl_depth.envs.base import GoalEnv

from ..agents import ALGORITHMS, AgentState, Algorithm, Batch, Hyper
from ..agents.losses import Metrics
from ..config import Config, ConfigError
from ..device import learning_options, physics_options, usable_cores
from . import hosts, replay, rollout
from .acting import Both, Plain, Policy
from .sharding import Layout

# Streams of random numbers. A key is fold_in(fold_in(key(seed), stream), epoch): nothing is carried, so
# evaluating or logging more or less often changes nothing else.
_INIT, _START, _COLLECT, _LEARN, _EVALUATE = range(5)
# Of a learner beside a collector, which has the streams above: it does bit for bit what it would do alone.
_LEARNER_INIT, _LEARNER_LEARN = range(5, 7)

_WAYPOINT = 1  # folded into the key that transitions are drawn with, for places on the way to their goals


class TrainState(flax.struct.PyTreeNode):
    """Everything that a run is, for one seed."""

    seed: jax.Array  # int32
    epoch: jax.Array  # int32: epochs done
    diverged: jax.Array  # int32: epoch in which a loss or a parameter became non-finite; -1 if none did
    agent: AgentState
    hyper: Hyper
    rollout: rollout.Rollout
    replay: replay.Replay
    collector: AgentState | None = None  # the agent that acts, if it is not ``agent``


def make_env(config: Config, split: str | None = None) -> GoalEnv:
    """The environment of a configuration.

    Raises:
      ConfigError: it cannot be made as asked.
    """
    try:
        env = envs.make(config.env, split=split, backend=config.backend, **config.options_of_env())
    except ValueError as error:
        if split is not None and str(error).startswith("split "):
            flag = "--eval-split" if split == config.eval_split else "--split"
            raise ConfigError(f"{flag} {split}: {str(error).partition(': ')[2]}") from None
        raise ConfigError(f"--env {config.env}: {error}") from None
    except TypeError as error:  # an option of the wrong type, such as size="large"
        raise ConfigError(f"--env-options {config.env_options}: {error}") from None
    if config.episode_length is not None:
        try:
            env.episode_length = config.episode_length
        except AttributeError:
            raise ConfigError(f"--episode-length {config.episode_length}: {config.env} has one that is fixed") from None
    return env


def make_agent(config: Config, env: GoalEnv) -> Algorithm:
    """The agent of a configuration."""
    return ALGORITHMS[config.algorithm].of(config, env.state_size, env.goal_size, env.action_size)


def eval_split(env: GoalEnv, config: Config | None = None) -> str:
    """The split that progress is measured on: what is configured, else evaluation goals if the environment has such."""
    if config is not None and config.eval_split is not None:
        return config.eval_split
    return "eval" if "eval" in env.splits else env.splits[0]


@dataclass(frozen=True)
class Trainer:
    """The programs of a run. Each maps states of one seed; `Programs` map them over a leading axis."""

    config: Config
    env: GoalEnv
    eval_env: GoalEnv
    agent: Algorithm
    layout: Layout
    collector: Algorithm | None = None

    @classmethod
    def of(cls, config: Config, layout: Layout = Layout()) -> Trainer:  # noqa: B008 - frozen
        """The trainer that a configuration describes, on one device unless told otherwise."""
        env, collector = make_env(config), config.collector()
        if getattr(env, "backend", None) == "mujoco" and layout.splits_batch:
            raise ConfigError(
                f"--devices: the backend mujoco steps all environments of a seed on one device, and --seeds "
                f"{config.seeds} are fewer than the {math.prod(layout.shape.values())} devices"
            )
        return cls(
            config,
            env,
            make_env(config, eval_split(env, config)),
            make_agent(config, env),
            layout,
            make_agent(collector, env) if collector else None,
        )

    def init(self, seed: jax.Array) -> TrainState:
        """A run before its first epoch."""
        c = self.config
        key = partial(_key, seed, epoch=jnp.int32(0))
        return TrainState(
            seed=seed,
            epoch=jnp.int32(0),
            diverged=jnp.int32(-1),
            agent=self.agent.create(key(_LEARNER_INIT if self.collector else _INIT)),
            collector=self.collector.create(key(_INIT)) if self.collector else None,
            hyper=Hyper.of(c, seed - c.seed),
            rollout=rollout.start(self.env, Policy(), c.num_envs, key(_START)),
            replay=replay.create(
                c.replay_steps,
                c.num_envs,
                self.env.state_size,
                self.env.action_size,
                self.env.goal_size if c.final_goals else None,
            ),
        )

    def collect(self, state: TrainState) -> TrainState:
        """Step the environments with the policy and store what they did; begins an epoch."""

        def policy(observed: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
            return agent.act(params, observed, goal, key, depth)

        agent, own = (self.collector, state.collector) if self.collector else (self.agent, state.agent)
        assert own is not None
        params = own.params
        depth = None if self.config.collect_depth is None else jnp.int32(self.config.collect_depth)
        key = _key(state.seed, _COLLECT, state.epoch)
        rolled, transitions = rollout.collect(
            self.env, Plain(policy), state.rollout, self.config.unroll, key, self.config.final_goals
        )
        return state.replace(epoch=state.epoch + 1, rollout=rolled, replay=replay.insert(state.replay, transitions))

    def learn(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Take the epoch's gradient steps. Returns the means of their metrics; a collector's bear its name."""
        own, metrics = self._learn(self.agent, state.agent, state, _LEARNER_LEARN if self.collector else _LEARN)
        new = state.replace(agent=own)
        if self.collector:
            assert state.collector is not None
            collector, its_metrics = self._learn(self.collector, state.collector, state, _LEARN)
            new, metrics = new.replace(collector=collector), metrics | _of_collector(its_metrics)
        return _keep_if_finite(state, new, metrics), metrics

    def _learn(self, agent: Algorithm, own: AgentState, state: TrainState, stream: int) -> tuple[AgentState, Metrics]:
        c = self.config
        sample_key, update_key = jax.random.split(_key(state.seed, stream, state.epoch))
        gamma = state.hyper.gamma if c.segment_horizon is None else jnp.float32(c.supervision().gammas())
        picks = replay.sample(state.replay, gamma, c.batch_size, c.updates, sample_key)
        if c.noise_objective == "elbo-waypoint":
            way_key = jax.random.fold_in(sample_key, _WAYPOINT)
            picks = (*picks, replay.between(state.replay, *picks[:2], way_key))

        def step(own: AgentState, inputs: tuple[Any, jax.Array]) -> tuple[AgentState, Metrics]:
            picks, key = inputs
            batch = self.layout.spread(self._batch(state.replay, *picks))
            return agent.update(own, batch, state.hyper, key, (state.epoch - 1) / max(c.epochs - 1, 1))

        own, metrics = jax.lax.scan(step, own, (picks, jax.random.split(update_key, c.updates)))
        return own, jax.tree.map(jnp.mean, metrics)

    def _batch(
        self,
        kept: replay.Replay,
        row: jax.Array,
        goal_row: jax.Array,
        env: jax.Array,
        way_row: jax.Array | None = None,
    ) -> Batch:
        """The batch of one gradient step's picks; ``goal_row [B, S]`` where each segment has goals of its own."""
        own = env[:, None] if goal_row.ndim == 2 else env
        goals = replay.goals(kept, self.env.achieved_goal, goal_row, own)
        segmented = {"segment_goals": goals, "goal": goals[:, -1]} if goal_row.ndim == 2 else {"goal": goals}
        waypoint = None if way_row is None else replay.goals(kept, self.env.achieved_goal, way_row, env)
        return Batch(state=kept.state[row, env], action=kept.action[row, env], waypoint=waypoint, **segmented)

    def evaluate(self, state: TrainState) -> dict[str, jax.Array]:
        """Episodes on the evaluation split, a collector's too; ``[eval_episodes]`` each.

        The policy acts by its mode and, from the same starts with the same goals, by draws: ``drawn_<metric>``.
        """
        reset_key, key = jax.random.split(_key(state.seed, _EVALUATE, state.epoch))
        reset_keys = self.layout.spread(jax.random.split(reset_key, self.config.eval_episodes))

        def episodes(agent: Algorithm, own: AgentState) -> dict[str, jax.Array]:
            mode = Plain(lambda observed, goal, key: agent.act(own.evaluated, observed, goal))
            drawn = Plain(lambda observed, goal, key: agent.act(own.evaluated, observed, goal, key))
            found = rollout.evaluate(self.eval_env, Both(mode, drawn), jnp.concatenate([reset_keys] * 2), key)
            by_mode, by_draws = ({name: jnp.split(own, 2)[way] for name, own in found.items()} for way in (0, 1))
            return by_mode | {f"drawn_{name}": by_draws[name] for name in by_draws if name not in _OF_THE_START}

        found = episodes(self.agent, state.agent)
        if not self.collector:
            return found
        assert state.collector is not None
        return found | _of_collector(episodes(self.collector, state.collector))


def _key(seed: jax.Array, stream: int, epoch: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stream), epoch)


# Metrics of an episode's start, the same whoever acts.
_OF_THE_START = ("goal_distance", "solved_at_start")


def _of_collector(metrics: Metrics) -> Metrics:
    return {f"collector_{name}": value for name, value in metrics.items() if name not in _OF_THE_START}


def _keep_if_finite(state: TrainState, new: TrainState, metrics: Metrics) -> TrainState:
    """``new``, or ``state`` with its old agents for good once anything became non-finite."""
    agents, old = ((s.agent, s.collector) for s in (new, state))
    leaves = jax.tree.leaves([metrics, [own.params for own in agents if own is not None]])
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
    good = finite & (state.diverged < 0)
    agent, collector = jax.tree.map(lambda a, b: jnp.where(good, a, b), agents, old)
    return state.replace(
        agent=agent,
        collector=collector,
        diverged=jnp.where((state.diverged < 0) & ~finite, state.epoch, state.diverged),
    )


@dataclass(frozen=True)
class Programs:
    """A trainer's programs, compiled for all seeds of the run."""

    init: Callable[[jax.Array], TrainState]
    collect: Callable[[TrainState], TrainState]
    learn: jax.stages.Wrapped  # TrainState -> TrainState, Metrics; its memory can be asked for
    evaluate: Callable[[TrainState], dict[str, jax.Array]]

    @classmethod
    def of(cls, trainer: Trainer) -> Programs:
        """Wrap a trainer's programs for its devices; each compiles when first called."""
        layout = trainer.layout
        place = None
        if layout.mesh is not None:
            place = shardings(layout, jax.eval_shape(jax.vmap(trainer.init), seeds_of(trainer.config)))
        logged = layout.whole

        def on_devices(program: Callable[..., Any], given: Any, found: Any, **options: Any) -> jax.stages.Wrapped:
            return jax.jit(layout.over_seeds(program), in_shardings=given, out_shardings=found, **options)

        physics = {"compiler_options": physics_options(trainer.env)}
        learning = {"compiler_options": learning_options()}
        return cls(
            init=on_devices(trainer.init, layout.per_seed(), place, **physics),
            collect=on_devices(trainer.collect, (place,), place, donate_argnums=0, **physics),
            learn=on_devices(trainer.learn, (place,), (place, logged), donate_argnums=0, **learning),
            evaluate=on_devices(trainer.evaluate, (place,), logged, **physics),
        )

    def compiling(self, like: TrainState) -> Compiling:
        """Begin to compile the programs for states like this one, as many at a time as there are cores."""
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like)
        pool = ThreadPoolExecutor(usable_cores())
        # What the first gradient step needs comes first; nothing needs the evaluation before its turn.
        names = ("collect", "learn", "evaluate")
        made = {name: pool.submit(_compile, getattr(self, name), like) for name in names}
        pool.shutdown(wait=False)
        return Compiling(self.init, **made)


def _compile(program: jax.stages.Wrapped, like: TrainState) -> jax.stages.Compiled:
    return program.lower(like).compile()


@dataclass(frozen=True)
class Compiling:
    """Programs that are being compiled in threads."""

    init: Callable[[jax.Array], TrainState]
    collect: Future[jax.stages.Compiled]
    learn: Future[Any]
    evaluate: Future[jax.stages.Compiled]

    def programs(self) -> Programs:
        """The programs, once those of training are there. On a CPU the first evaluation waits for its own.

        An accelerator tries variants of a program as it compiles it, which must not meet with training on the device.
        """
        if jax.default_backend() != "cpu" or jax.process_count() > 1:
            self.evaluate.result()
        return Programs(
            init=self.init,
            collect=self.collect.result(),
            learn=self.learn.result(),
            evaluate=self._evaluate,
        )

    def _evaluate(self, state: TrainState) -> dict[str, jax.Array]:
        return self.evaluate.result()(state)

    def cancel(self) -> None:
        """Begin to compile nothing more."""
        for program in (self.collect, self.learn, self.evaluate):
            program.cancel()


def shardings(layout: Layout, like: TrainState) -> TrainState | None:
    """Where the arrays of a state lie: environments and their transitions are spread like the batch."""
    if layout.mesh is None:
        return None
    place = jax.tree.map(lambda _: layout.per_seed(), like)
    by_env, by_step = layout.per_seed(1), layout.per_seed(2)
    return place.replace(
        rollout=jax.tree.map(lambda _: by_env, like.rollout),
        replay=place.replay.replace(
            state=by_step,
            action=by_step,
            last=by_step,
            open=by_env,
            reached=None if like.replay.reached is None else by_step,
        ),
    )


def seeds_of(config: Config) -> jax.Array:
    """The run's seeds, ``[S]`` int32."""
    return jnp.arange(config.seeds, dtype=jnp.int32) + config.seed


def to_arrays(state: Any) -> dict[str, np.ndarray]:
    """A state, or a part of one, as named host arrays: whole on the first process, empty on others."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    whole = {jax.tree_util.keystr(path): hosts.gather(_without_keys(leaf)) for path, leaf in leaves}
    return {name: array for name, array in whole.items() if array is not None}


def from_arrays(
    template: TrainState,
    arrays: dict[str, np.ndarray],
    layout: Layout = Layout(),  # noqa: B008 - frozen
) -> TrainState:
    """The inverse of `to_arrays`, for a state of the template's shapes and dtypes, on the devices of a layout.

    Raises:
      ValueError: an array is missing or of another shape or dtype.
    """

    places = jax.tree_util.tree_leaves_with_path(shardings(layout, template))
    place = {jax.tree_util.keystr(path): sharding for path, sharding in places}

    def restore(path: Any, like: Any) -> jax.Array:
        name = jax.tree_util.keystr(path)
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
        shape, dtype = (like.shape, like.dtype) if not is_key else _key_layout(like)
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            held = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise ValueError(f"checkpoint entry {name} is {held}, not {dtype}{list(shape)}")
        array = layout.put(found, place.get(name))
        return jax.random.wrap_key_data(array) if is_key else array

    return jax.tree_util.tree_map_with_path(restore, template)


def _without_keys(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _key_layout(like: Any) -> tuple[tuple[int, ...], Any]:
    data = jax.eval_shape(jax.random.key_data, like)
    return data.shape, data.dtype
