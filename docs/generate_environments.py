"""Write docs/environments.md from the registry, and a picture of each environment.

python docs/generate_environments.py             the page
python docs/generate_environments.py --pictures  the page and docs/images/environments/*.png
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path

from rl_depth import envs
from rl_depth.envs.base import GoalEnv

PAGE = Path(__file__).with_name("environments.md")
PICTURES = Path(__file__).parent / "images" / "environments"

HEAD = """\
# Environments

Generated from the registry by `python docs/generate_environments.py`; do not edit.

Observations are `concat(state, goal)`. A goal is reached while the achieved goal, read from the state at the goal
indices, is nearer than the radius. The first backend is the default, on a CPU the one marked so. All have the splits
`train` and `eval`; further ones are named. Maze layouts are text in `envs/mazes.py`. To add an environment of your
own, see [own_environment.md](own_environment.md).
"""


def describe(name: str, env: GoalEnv) -> str:
    """One row of the table."""
    indices = ", ".join(map(str, env.goal_indices))
    extra = [split for split in env.splits if split not in ("train", "eval")]
    cells = [
        f"`{name}`",
        f"{env.state_size} + {env.goal_size}",
        indices,
        f"{env.goal_radius:g}",
        str(env.action_size),
        str(env.episode_length),
        ", ".join(f"{one} (default on a CPU)" if one == env.backend_on_cpu else one for one in env.backends),
        ", ".join(extra),
        f"![{name}](images/environments/{name}.png)",
    ]
    return "| " + " | ".join(cells) + " |"


def table(environment: Callable[[str], GoalEnv]) -> str:
    """The table of all environments, made by ``environment(name)``."""
    columns = "name | state + goal | goal indices | radius (m) | actions | episode | backends | more splits | picture"
    header = [f"| {columns} |", "|" + " --- |" * (columns.count("|") + 1)]
    return "\n".join([*header, *(describe(name, environment(name)) for name in envs.names())])


def classes(environment: Callable[[str], GoalEnv]) -> str:
    """The documentation of every class behind the registry, with the names that it serves."""
    served: dict[type, list[str]] = {}
    for name in envs.names():
        served.setdefault(type(environment(name)), []).append(f"`{name}`")
    sections = [f"## {cls.__name__}\n\n{', '.join(names)}\n\n{inspect.getdoc(cls)}" for cls, names in served.items()]
    return "\n\n".join(sections)


def page(environment: Callable[[str], GoalEnv]) -> str:
    """The whole page."""
    text = f"{HEAD}\n{table(environment)}\n\n{classes(environment)}\n"
    return text.replace("``", "`")


def draw(name: str, env: GoalEnv) -> None:
    """Write the picture of an environment's first state."""
    import jax
    from PIL import Image

    from rl_depth import render

    state = jax.jit(env.reset)(jax.random.key(0))
    Image.fromarray(render.frame(env, state, width=320, height=240)).save(PICTURES / f"{name}.png", optimize=True)


def main() -> None:
    """Write the page, and the pictures if asked for."""
    parser = argparse.ArgumentParser(description="Write docs/environments.md from the registry.")
    parser.add_argument("--pictures", action="store_true", help="draw every environment as well")
    made = {name: envs.make(name) for name in envs.names()}
    PAGE.write_text(page(made.__getitem__))
    if parser.parse_args().pictures:
        PICTURES.mkdir(parents=True, exist_ok=True)
        for name, env in made.items():
            draw(name, env)


if __name__ == "__main__":
    main()
