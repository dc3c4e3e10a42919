"""Episodes of trained or random agents as videos and an interactive page."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth import envs
from rl_depth.envs.base import GoalEnv

from .. import render
from ..config import Budget, ConfigError, check_depth
from ..device import physics_options
from ..training import rollout
from ..training.acting import Plain, Policy
from ..training.trainer import eval_split, make_env
from . import policy, spending
from .budgeted import Budgeted, Shape, Spend

_PAUSE = 0.6  # s between two episodes of a video
_STEP = 0.1  # s that a step is shown for if the environment does not say what it takes


@dataclass(frozen=True)
class Options:
    """What to show.

    Attributes:
      split: starts and goals to draw; the evaluation split if None.
      episodes: episodes, one after another.
      depth: dense layers to act with; the trained depth if None.
      budget: what an action may cost instead.
      seed: of the episodes; the same starts and goals for all runs.
      size: width and height of one picture, pixels.
      gif: write a gif as well.
      which: the agent of each run; its first seed unless one is named.
    """

    split: str | None = None
    episodes: int = 2
    depth: int | None = None
    budget: Budget | None = None
    seed: int = 0
    size: tuple[int, int] = (480, 360)
    gif: bool = False
    which: policy.Which = policy.Which()  # noqa: RUF009 - frozen


def show_runs(runs: Sequence[Path], options: Options, out: Path | None = None) -> list[Path]:
    """Show what an agent of each run does, side by side.

    Args:
      runs: run folders.
      options: what to show.
      out: folder for the files; ``videos/`` in the first run's folder if None.

    Returns:
      The files written.

    Raises:
      ConfigError: no such split or depth, a budget that an agent cannot spend, or ``out`` cannot be written.
      RunError: a folder is not a run or has no usable checkpoint.
    """
    loaded = [policy.load(run, options.which.seed, epoch=options.which.epoch) for run in runs]
    places = [make_env(one.config, options.split or eval_split(one.env, one.config)) for one in loaded]
    budget = options.budget
    if budget is not None:
        for one in loaded:
            spending.check(one, [budget], "--budget")
    depths = [_depth(one, budget.depth if budget else options.depth) for one in loaded]
    out = _folder(Path(runs[0]) / "videos" if out is None else out)
    captions = _captions(runs, loaded, depths, budget)
    columns = []
    for one, env, depth, caption in zip(loaded, places, depths, captions, strict=True):
        acting, spent = _acting(one, env, depth, budget)
        columns.append(_clips(env, acting, (one.params, spent), caption=caption, options=options))
    return _write(columns, options, out)


def show_random(env_name: str, backend: str | None, options: Options, out: Path | None = None) -> list[Path]:
    """Show an environment under actions drawn evenly from [-1, 1].

    Args:
      env_name: name in the registry.
      backend: physics backend; the environment's first if None.
      options: what to show.
      out: folder for the files; ``runs/render/<env_name>`` if None.

    Returns:
      The files written.

    Raises:
      ConfigError: no such environment, backend or split, or ``out`` cannot be written.
    """
    try:
        env = envs.make(env_name, backend=backend)
        env = envs.make(env_name, split=options.split or eval_split(env), backend=backend)
    except ValueError as error:
        if str(error).startswith("split "):
            raise ConfigError(f"--split {options.split}: {str(error).partition(': ')[2]}") from None
        raise ConfigError(f"--env {env_name}: {error}") from None
    out = _folder(Path("runs") / "render" / env_name.replace(":", ".") if out is None else out)

    def draw(state: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
        del goal
        return jax.random.uniform(key, (*state.shape[:-1], env.action_size), minval=-1.0)

    clips = _clips(env, lambda _: Plain(draw), None, caption=f"{env_name}, random actions", options=options)
    return _write([clips], options, out)


def _acting(one: policy.Policy, env: GoalEnv, depth: int, budget: Budget | None) -> tuple[Callable[[Any], Policy], Any]:
    """From parameters and what an action may cost to the policy, and what it may cost."""
    if budget is None:

        def plain(given: Any) -> Policy:
            params, own = given
            return Plain(lambda state, goal, key: one.agent.act(params, state, goal, None, own))

        return plain, jnp.int32(depth)

    def within(given: Any) -> Policy:
        params, (spend, states) = given
        return Budgeted(one.agent, params, env, Shape.of(budget), spend, states)

    return within, (Spend.of(budget, one.config), one.states_for(budget))


def _depth(one: policy.Policy, depth: int | None) -> int:
    trunk = one.config.trunk("actor")
    if depth is None:
        return trunk.depth
    try:
        return check_depth(trunk, depth)
    except ValueError as error:
        raise ConfigError(f"--depth: {error}") from None


def _captions(
    runs: Sequence[Path], loaded: Sequence[policy.Policy], depths: Sequence[int], budget: Budget | None
) -> list[str]:
    """What tells the runs apart: trunk and depth; environment and name of the folder where these do not."""
    captions = []
    for one, depth in zip(loaded, depths, strict=True):
        trunk = one.config.trunk("actor")
        trained = f" (trained at {trunk.depth})" if depth != trunk.depth else ""
        bought = f", {budget}" if budget and budget.way != "depth" else ""
        captions.append(f"{trunk.block}, depth {depth}{trained}{bought}")
    if len({one.config.env for one in loaded}) > 1:
        captions = [f"{one.config.env}: {caption}" for one, caption in zip(loaded, captions, strict=True)]
    count = Counter(captions)
    return [
        caption if count[caption] == 1 else f"{caption}, {Path(run).resolve().name}"
        for run, caption in zip(runs, captions, strict=True)
    ]


def _clips(
    env: GoalEnv, acting: Callable[[Any], Policy], given: Any, *, caption: str, options: Options
) -> list[render.Clip]:
    """Record episodes of the policy that ``acting`` makes of what it is given, which is traced."""

    @partial(jax.jit, compiler_options=physics_options(env))
    def record(given: Any, key: jax.Array) -> Any:
        return rollout.record(env, acting(given), key)

    clips = []
    for episode in range(options.episodes):
        key = jax.random.fold_in(jax.random.key(options.seed), episode)
        first, steps = jax.device_get(record(given, key))
        label = f"{caption} · episode {episode + 1}" if options.episodes > 1 else caption
        clips.append(_clip(env, first, steps, label))
    return clips


def _clip(env: GoalEnv, first: Any, steps: dict[str, np.ndarray], caption: str) -> render.Clip:
    """The frames of `rollout.record` until the episode ends, or its physics does."""
    broken = np.logical_not(np.isfinite(steps["qpos"]).all(axis=1) & np.isfinite(steps["goal"]).all(axis=1))
    length = len(broken)
    if steps["done"].any():
        length = int(steps["done"].argmax()) + 1
    if broken[1:length].any():
        length = int(broken[1:length].argmax()) + 1
    return render.Clip(
        model=env.scene(first),
        qpos=steps["qpos"][:length],
        goal=steps["goal"][:length],
        goal_radius=env.goal_radius,
        success=steps["success"][:length],
        caption=caption,
        view=env.view,
        dt=float(getattr(env, "dt", _STEP)),
    )


def _folder(path: Path) -> Path:
    """Create a folder, and make sure before hours of drawing that files can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error.strerror})") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {path}: cannot be written (permission denied)")
    return path


def _write(columns: Sequence[Sequence[render.Clip]], options: Options, out: Path) -> list[Path]:
    """Write videos and page of episodes ``columns[run][episode]``; returns the files."""
    try:
        backend, report = render.choose_backend(), render.backend_report()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    print(f"drawing with {report}", file=sys.stderr)
    videos = [out / "rollout.mp4", *([out / "rollout.gif"] if options.gif else [])]
    page = out / "rollout.html"
    fps = 1 / columns[0][0].dt
    episodes = list(zip(*columns, strict=True))
    try:
        render.write_viewer(page, list(itertools.chain(*episodes)))
        with contextlib.closing(_frames(episodes, options.size, backend, round(_PAUSE * fps))) as frames:
            render.write_videos(videos, frames, fps)
    except OSError as error:
        raise ConfigError(f"--out {out}: {error}") from None
    return [*videos, page]


def _frames(
    episodes: Sequence[Sequence[render.Clip]], size: tuple[int, int], backend: str, pause: int
) -> Generator[np.ndarray]:
    """Frames of ``episodes[episode][run]``: runs side by side, episodes one after another."""
    for number, clips in enumerate(episodes, start=1):
        frame = None
        for frame in render.compose([render.render_frames(clip, size, backend) for clip in clips]):
            yield frame
        if frame is not None and number < len(episodes):
            yield from itertools.repeat(frame, pause)
