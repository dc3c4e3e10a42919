"""Goal-conditioned Brax environments behind one registry.

    env = envs.make("ant_u_maze", split="eval", backend="spring")

Importing this package is cheap: JAX and Brax load when an environment is made.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import GoalEnv

# name -> (".module:Class" of this package, constructor arguments)
_REGISTRY: dict[str, tuple[str, dict[str, Any]]] = {
    "point_maze": (".point_maze:PointMaze", {"layout": "u"}),
    "point_u_maze": (".point_maze:PointMaze", {"layout": "u"}),
    "point_u2_maze": (".point_maze:PointMaze", {"layout": "u2"}),
    "point_u3_maze": (".point_maze:PointMaze", {"layout": "u3"}),
    "point_u4_maze": (".point_maze:PointMaze", {"layout": "u4"}),
    "point_u5_maze": (".point_maze:PointMaze", {"layout": "u5"}),
    "point_u6_maze": (".point_maze:PointMaze", {"layout": "u6"}),
    "point_u7_maze": (".point_maze:PointMaze", {"layout": "u7"}),
    "point_u4_maze_stitch": (".point_maze:PointMaze", {"layout": "u4", "stitch": True}),
    "point_ring_maze": (".point_maze:PointMaze", {"layout": "ring"}),
    "point_big_maze": (".point_maze:PointMaze", {"layout": "big"}),
    "point_hardest_maze": (".point_maze:PointMaze", {"layout": "hardest"}),
    "random_point_maze": (".random_point_maze:RandomPointMaze", {}),
    "reacher": (".reacher:Reacher", {}),
    "pusher_easy": (".pusher:Pusher", {"kind": "easy"}),
    "pusher_hard": (".pusher:Pusher", {"kind": "hard"}),
    "pusher_reacher": (".pusher:PusherReacher", {}),
    "pusher2": (".pusher:Pusher2", {}),
    "half_cheetah": (".half_cheetah:HalfCheetah", {}),
    "ant": (".ant:Ant", {}),
    "ant_random_start": (".ant:Ant", {"random_start": True}),
    "ant_u_maze": (".ant_maze:AntMaze", {"layout": "u"}),
    "ant_u2_maze": (".ant_maze:AntMaze", {"layout": "u2"}),
    "ant_u3_maze": (".ant_maze:AntMaze", {"layout": "u3"}),
    "ant_u4_maze": (".ant_maze:AntMaze", {"layout": "u4"}),
    "ant_u5_maze": (".ant_maze:AntMaze", {"layout": "u5"}),
    "ant_u6_maze": (".ant_maze:AntMaze", {"layout": "u6"}),
    "ant_u7_maze": (".ant_maze:AntMaze", {"layout": "u7"}),
    "ant_u4_maze_stitch": (".ant_maze:AntMaze", {"layout": "u4", "stitch": True}),
    "ant_big_maze": (".ant_maze:AntMaze", {"layout": "big"}),
    "ant_hardest_maze": (".ant_maze:AntMaze", {"layout": "hardest"}),
    "ant_ball": (".ant_objects:AntBall", {}),
    "ant_ball_u_maze": (".ant_ball_maze:AntBallMaze", {"layout": "u"}),
    "ant_ball_maze": (".ant_ball_maze:AntBallMaze", {"layout": "big"}),
    "ant_push": (".ant_objects:AntPush", {}),
    "humanoid": (".humanoid:Humanoid", {}),
    "humanoid_u_maze": (".humanoid:HumanoidMaze", {"layout": "u"}),
    "humanoid_big_maze": (".humanoid:HumanoidMaze", {"layout": "big"}),
    "humanoid_hardest_maze": (".humanoid:HumanoidMaze", {"layout": "hardest"}),
    "arm_reach": (".arm:ArmReach", {}),
    "arm_grasp": (".arm:ArmGrasp", {}),
    "arm_push_easy": (".arm:ArmPush", {"kind": "easy"}),
    "arm_push_hard": (".arm:ArmPush", {"kind": "hard"}),
    "arm_binpick_easy": (".arm:ArmBinpick", {"kind": "easy"}),
    "arm_binpick_hard": (".arm:ArmBinpick", {"kind": "hard"}),
}

_IN_WORDS: dict[type, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "text in quotes",
}
_SCALARS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}

_CLASS_CONTRACT = ("splits", "backends", "view", "reset", "step", "scene", "qpos", "goal_position")
_CONTRACT = (
    "split",
    "state_size",
    "goal_indices",
    "goal_radius",
    "episode_length",
    "observation_size",
    "action_size",
)


def names() -> tuple[str, ...]:
    """Names of the registered environments, in the order of the registry."""
    return tuple(_REGISTRY)


def check_name(name: str) -> str:
    """Return ``name`` if it is registered or has the form ``package.module:Class``.

    Raises:
      ValueError: naming the nearest registered names. Nothing is imported to find out.
    """
    if name in _REGISTRY:
        return name
    if ":" in name:
        return _check_path(name)
    near = difflib.get_close_matches(name.strip().lower().replace("-", "_"), _REGISTRY, n=3, cutoff=0.4)
    hint = f"nearest: {', '.join(near)}" if near else "`rl-depth envs` lists them"
    raise ValueError(f"unknown environment {name[:100]!r}; {hint}")


def _check_path(name: str) -> str:
    """Return ``name`` if it is of the form ``package.module:Class``."""
    module, _, cls = name.partition(":")
    if "/" in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        raise ValueError(f"{name!r} is a path; name the module, as import does: {dotted}:{cls or 'Class'}")
    if not all(part.isidentifier() for part in (*module.split("."), cls)):
        raise ValueError(f"{name[:100]!r} is not of the form package.module:Class")
    return name


def import_brax() -> None:
    """Load Brax; its MJX prints to stdout that optional packages are missing, which belongs in no result."""
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("brax.envs.base")


def make(name: str, *, split: str | None = None, backend: str | None = None, **options: Any) -> GoalEnv:
    """Construct an environment.

    Args:
      name: a registered name, or ``package.module:Class`` for an environment of your own.
      split: which starts and goals to draw; None for the environment's first split.
      backend: physics backend; None for the environment's first.
      **options: further constructor arguments of the environment's class.

    Raises:
      ValueError: unknown name, split, backend, layout or option; or a class that does not meet the contract.
    """
    path, defaults = _REGISTRY.get(check_name(name), (name, {}))
    module, _, cls_name = path.partition(":")
    import_brax()
    try:
        cls = getattr(importlib.import_module(module, __package__), cls_name)
    except Exception as error:  # whatever a module of the user's raises
        kind = "" if isinstance(error, (ImportError, AttributeError)) else f"{type(error).__name__}: "
        raise ValueError(f"environment {name!r} cannot be imported: {kind}{error}{_where(module, error)}") from error
    _check_contract(name, cls, _CLASS_CONTRACT)
    known = list(inspect.signature(cls).parameters)
    if not {"split", "backend"} <= set(known):
        raise ValueError(f"environment {name!r}: its constructor must take split and backend")
    own = [option for option in known if option not in ("split", "backend")]
    for option, value in options.items():
        if option in ("split", "backend"):
            raise ValueError(f"option {option!r} of environment {name!r}: is given apart from the others")
        if option not in own:
            raise ValueError(f"unknown option {option!r} of environment {name!r}; known: {', '.join(own) or 'none'}")
        _check_option(name, cls, option, value)
    env = cls(split=split or cls.splits[0], backend=backend, **{**defaults, **options})
    _check_contract(name, env, _CONTRACT)
    if name not in _REGISTRY:
        _check_states(name, env)
    return env


def _check_option(name: str, cls: type, option: str, value: Any) -> None:
    """Hold an option against its annotation, if that is one of the types that TOML has."""
    annotation = inspect.signature(cls).parameters[option].annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    wanted = _SCALARS.get(text.removesuffix(" | None"))
    if wanted is None:
        return
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"option {option!r} of environment {name!r}: {value!r} must be {_IN_WORDS[wanted]}")


def _where(module: str, error: Exception) -> str:
    """What to do if a module is not found that lies in the folder that the command was started in."""
    top = module.partition(".")[0]
    here = Path(top).is_dir() or Path(f"{top}.py").is_file()
    lacking = isinstance(error, ModuleNotFoundError) and error.name == top
    return "; it lies in this folder: put PYTHONPATH=. before the command" if lacking and here else ""


def _check_contract(name: str, thing: Any, attributes: tuple[str, ...]) -> None:
    abstract = getattr(thing, "__abstractmethods__", frozenset())
    needed = [*attributes, *sorted(abstract.difference(attributes))]
    missing = [attribute for attribute in needed if not hasattr(thing, attribute) or attribute in abstract]
    if missing:
        raise ValueError(f"environment {name!r} lacks {', '.join(missing)}; see envs.base.GoalEnv")


def _check_states(name: str, env: GoalEnv) -> None:
    """Shapes and names in the states that an environment gives, without computing any."""
    import jax

    def check(program: str, state: Any) -> None:
        lacking = [part for part in ("obs", "reward", "done", "metrics", "info") if not hasattr(state, part)]
        if lacking:
            raise ValueError(f"environment {name!r}: what {program} gives lacks {', '.join(lacking)}")
        if state.obs.shape != (env.observation_size,):
            shapes = f"{list(state.obs.shape)}, not [{env.observation_size}] (state and goal)"
            raise ValueError(f"environment {name!r}: obs of {program} has shape {shapes}")
        for part, key in (("metrics", "success"), ("metrics", "dist"), ("info", "goal_distance")):
            if key not in getattr(state, part):
                raise ValueError(f"environment {name!r}: {part} of {program} lacks {key!r}")

    first = jax.eval_shape(env.reset, jax.random.key(0))
    check("reset", first)
    check("step", jax.eval_shape(env.step, first, jax.ShapeDtypeStruct((env.action_size,), first.obs.dtype)))
