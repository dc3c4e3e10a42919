"""What `rl-depth bench` measures: ours against the textbook update, in turns, in one process on the same data.

Every measurement returns rows of plain numbers. Ratios are of medians of alternated repetitions; where a figure is
of one program alone it is its median. Times are for the cores that this process may use: pin it to one
(``taskset -c 0``) for figures that do not depend on how many there are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth.envs.base import observation

from ..agents.cost import agent_cost
from ..config import BlockKind, Config
from ..device import learning_options, physics_options
from ..runs import RunError
from ..training import replay, rollout
from ..training.replay import Replay
from ..training.trainer import Programs, Trainer, TrainState, seeds_of
from . import workload
from .reference import Reference

Row = dict[str, Any]

_UPDATES = 4  # gradient steps in a program, as in an epoch's loop, so that what a call costs is shared


def matmul_rate(width: int = 256, batch: int = 256) -> float:
    """Operations per second of ``[batch, width] x [width, width]`` products in a row: what the device reaches."""
    x, kernel = jnp.ones((batch, width)), jnp.ones((width, width)) / width
    count = 400

    @jax.jit
    def chain(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, y: y @ kernel, x)

    seconds = alternated({"chain": lambda: chain(x)}, 9)["chain"]
    return 2 * batch * width**2 * count / seconds


def launch_latency() -> float:
    """Seconds of one turn of a loop whose work is next to nothing: no chain of operations goes faster per link."""
    x, count = jnp.eye(8), 2000

    @jax.jit
    def chain(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, y: y @ x, x)

    return alternated({"chain": lambda: chain(x)}, 9)["chain"] / count


def alternated(programs: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """Median seconds of each program, run in turns after a first call each."""
    for program in programs.values():
        jax.block_until_ready(program())
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repetitions):
        for name, program in programs.items():
            began = time.perf_counter()
            jax.block_until_ready(program())
            seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(each)) for name, each in seconds.items()}


def updates(
    depths: Sequence[int], blocks: Sequence[BlockKind], *, width: int, batch: int, repetitions: int
) -> list[Row]:
    """One gradient step, ours as a run compiles it against the textbook one."""
    rate = matmul_rate(width, batch)
    rows = []
    for block in blocks:
        for depth in depths:
            load = workload.make(block, depth, width, batch)
            state = jax.jit(load.agent.create)(jax.random.key(0))
            reference = Reference(load.config, workload.ACTION)
            programs = {
                "ours": _looped(lambda *a, own=load: own.agent.update(*a)[0], state, load, learning_options()),
                "reference": _looped(reference.update, reference.create(state.params), load, {}),
            }
            found = {name: 1e3 * s / _UPDATES for name, s in alternated(programs, repetitions).items()}
            flops = agent_cost(load.config, *workload.SIZES).flops_per_update
            rows.append(
                {
                    "block": block,
                    "depth": depth,
                    "ours_ms": found["ours"],
                    "reference_ms": found["reference"],
                    "ratio": found["ours"] / found["reference"],
                    "gflops": flops / found["ours"] / 1e6,
                    "matmul_share": flops / rate / (found["ours"] / 1e3),
                }
            )
    return rows


def _looped(
    update: Callable[..., Any], state: Any, load: workload.Workload, options: dict[str, Any]
) -> Callable[[], Any]:
    """A program of some updates in a loop, which keeps its state to itself."""

    def several(state: Any, batch: Any, hyper: Any, key: jax.Array) -> Any:
        def step(state: Any, key: jax.Array) -> tuple[Any, None]:
            return update(state, batch, hyper, key), None

        return jax.lax.scan(step, state, jax.random.split(key, _UPDATES))[0]

    held = [jax.tree.map(jnp.copy, state)]
    rest = (load.batch, load.hyper, jax.random.key(1))
    program = jax.jit(several, donate_argnums=0, compiler_options=options).lower(held[0], *rest).compile()

    def run() -> Any:
        held[0] = program(held[0], *rest)
        return held[0]

    return run


def start_up(depths: Sequence[int], blocks: Sequence[BlockKind], *, width: int, batch: int) -> list[Row]:
    """From the start of a process to the end of the first gradient step: cold, and again with a compilation cache.

    The textbook update is timed at the second depth alone, for its compiler's time grows with depth.
    """
    rows = []
    for block in blocks:
        for depth in depths:
            sizes = (depth, width, batch)
            with tempfile.TemporaryDirectory() as cache:
                cold, warm = (_first_step("ours", block, sizes, cache) for _ in range(2))
            row = {"block": block, "depth": depth, "cold_s": cold["process"], "warm_s": warm["process"]}
            row |= {f"cold_{part}_s": cold[part] for part in ("init", "compile", "step")}
            if block == "stacked" and depth == depths[min(1, len(depths) - 1)]:
                with tempfile.TemporaryDirectory() as cache:
                    row["reference_s"] = _first_step("reference", block, sizes, cache)["process"]
            rows.append(row)
    return rows


def _first_step(kind: str, block: str, sizes: tuple[int, int, int], cache: str) -> dict[str, float]:
    command = [sys.executable, "-m", "rl_depth.bench.first_step", kind, block, *map(str, sizes)]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = cache
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RunError(f"{kind} at depth {sizes[0]}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout) | {"process": time.perf_counter() - began}


def peer(python: Path, depths: Sequence[int], *, width: int, batch: int, repetitions: int) -> list[Row]:
    """The same of PyPI's ``jaxgcrl``, under another environment's Python.

    Raises:
      RunError: it does not run there.
    """
    script = Path(__file__).with_name("peer_update.py")
    rows = []
    for depth in depths:
        command = [str(python), str(script), str(depth), str(width), str(batch), str(repetitions)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise RunError(f"--peer-python {python}: cannot be run ({error.strerror})") from None
        if done.returncode:
            raise RunError(f"--peer-python {python}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append({"depth": depth, "peer_ms": 1e3 * float(np.median(found.pop("update_s"))), **found})
    return rows


def memory(depths: Sequence[int], blocks: Sequence[BlockKind], *, width: int, batch: int) -> list[Row]:
    """Working memory of a gradient step beside its state, as the compiler plans it: MiB, plain and with ``remat``."""
    rows = []
    for block in blocks:
        for depth in depths:
            row: Row = {"block": block, "depth": depth, "batch": batch}
            for name, remat in (("plain_mib", False), ("remat_mib", True)):
                load = workload.make(block, depth, width, batch, remat=remat)
                state = jax.eval_shape(load.agent.create, jax.random.key(0))
                lowered = jax.jit(load.agent.update, donate_argnums=0).lower(
                    state, load.batch, load.hyper, jax.random.key(1)
                )
                found = lowered.compile().memory_analysis()
                assert found is not None, "this platform does not say"
                row[name] = found.temp_size_in_bytes / 2**20
            weights = agent_cost(load.config, *workload.SIZES).parameters
            row["gradients_mib"] = 4 * weights / 2**20
            rows.append(row | {"ratio": row["remat_mib"] / row["plain_mib"]})
    return rows


def seeds(depth: int, counts: Sequence[int], *, width: int, batch: int, repetitions: int) -> list[Row]:
    """An epoch's gradient steps for S agents in one program, against one agent's."""
    programs = {}
    for count in (1, *counts):
        config = _epoch_config(depth, width, batch, seeds=count)
        _, compiled, state = _trained(config)
        programs[count] = _kept(compiled.learn, state)
    found = alternated({str(count): program for count, program in programs.items()}, repetitions)
    return [
        {"depth": depth, "seeds": count, "times_one": found[str(count)] / found["1"], "seconds": found[str(count)]}
        for count in counts
    ]


def epoch(depth: int, *, env: str, width: int, batch: int, repetitions: int) -> list[Row]:
    """Where an epoch's time goes, and the replay's memory.

    ``networks_and_physics`` is the share of the epoch that the same number of environment steps, actions and gradient
    steps take alone: steps under random actions that are drawn beforehand, actions on one observation, updates on
    one batch.
    """
    config = _epoch_config(depth, width, batch, env=env)
    trainer, compiled, state = _trained(config)
    one = jax.tree.map(lambda leaf: leaf[0], state)
    parts = _Parts(trainer, one)
    programs = {
        "collect": _kept(compiled.collect, state),
        "learn": _kept(lambda s: compiled.learn(s)[0], jax.tree.map(jnp.copy, state)),
        "physics": parts.physics(),
        "acting": parts.acting(),
        "updates": parts.updates(),
    }
    found = alternated(programs, repetitions)
    whole = found["collect"] + found["learn"]
    inside = found["physics"] + found["acting"] + found["updates"]
    sizes = (trainer.env.state_size, trainer.env.action_size)
    return [
        {
            "env": env,
            "depth": depth,
            **{f"{name}_s": seconds for name, seconds in found.items()},
            "networks_and_physics": inside / whole,
            "replay_over_raw": _replay_bytes(one.replay) / (4 * config.replay_steps * config.num_envs * sum(sizes)),
        }
    ]


def _replay_bytes(kept: Replay) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(kept))


def _epoch_config(depth: int, width: int, batch: int, env: str = "point_maze", seeds: int = 1) -> Config:
    return Config(env=env, depth=depth, width=width, batch_size=batch, seeds=seeds, num_envs=64, unroll=50, updates=40)


def _trained(config: Config) -> tuple[Trainer, Programs, TrainState]:
    """Programs, and a state whose replay is ready for gradient steps."""
    trainer = Trainer.of(config)
    programs = Programs.of(trainer)
    state = programs.init(seeds_of(config))
    for _ in range(config.warmup_epochs + 1):
        state = programs.collect(state)
    return trainer, programs, state


def _kept(program: Callable[[Any], Any], state: Any) -> Callable[[], Any]:
    """A program that goes on from its own last state, of which it takes the memory."""
    held = [jax.tree.map(jnp.copy, state)]

    def run() -> Any:
        result = program(held[0])
        held[0] = result[0] if isinstance(result, tuple) else result
        return held[0]

    return run


class _Parts:
    """The work of an epoch that is networks and physics, and nothing else of it."""

    def __init__(self, trainer: Trainer, state: TrainState):
        self.trainer, self.state, self.config = trainer, state, trainer.config

    def physics(self) -> Callable[[], Any]:
        """An epoch's environment steps."""
        env, c = self.trainer.env, self.config
        actions = jax.random.uniform(jax.random.key(0), (c.unroll, c.num_envs, env.action_size), minval=-1.0)

        @partial(jax.jit, compiler_options=physics_options(env))
        def run(states: Any) -> Any:
            return jax.lax.scan(lambda s, a: (jax.vmap(env.step)(s, a), None), states, actions)[0]

        return lambda: run(self.state.rollout.env)

    def acting(self) -> Callable[[], Any]:
        """An epoch's actions."""
        agent, c = self.trainer.agent, self.config
        observed, goal = rollout.split_observation(self.trainer.env, observation(self.state.rollout.env))

        @jax.jit
        def run(params: Any, observed: jax.Array) -> jax.Array:
            def step(observed: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
                action = agent.act(params, observed, goal, key)
                return observed + 0 * action[:, :1], None  # each turn waits for the one before

            return jax.lax.scan(step, observed, jax.random.split(jax.random.key(0), c.unroll))[0]

        return lambda: run(self.state.agent.params, observed)

    def updates(self) -> Callable[[], Any]:
        """An epoch's gradient steps on one batch."""
        agent, c, state = self.trainer.agent, self.config, self.state
        row, goal_row, copy = (
            pick[0] for pick in replay.sample(state.replay, state.hyper.gamma, c.batch_size, 1, jax.random.key(0))
        )
        batch = workload.Batch(
            state=state.replay.state[row, copy],
            action=state.replay.action[row, copy],
            goal=replay.goals(state.replay, self.trainer.env.achieved_goal, goal_row, copy),
        )

        def several(held: Any) -> Any:
            keys = jax.random.split(jax.random.key(1), c.updates)
            return jax.lax.scan(lambda s, key: (agent.update(s, batch, state.hyper, key)[0], None), held, keys)[0]

        return _kept(jax.jit(several, donate_argnums=0, compiler_options=learning_options()), state.agent)
