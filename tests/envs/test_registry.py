"""Names, options and environments from outside the tree."""

from __future__ import annotations

import subprocess
import sys

import jax
import pytest

from rl_depth import envs
from rl_depth.envs.point_maze import PointMaze


class OutsideMaze(PointMaze):
    """An environment of a user's own."""

    def __init__(self, split: str = "train", backend: str | None = None, goal_radius: float = 0.1):
        super().__init__(split, backend, layout="#####\n#S.G#\n#####")
        self.goal_radius = goal_radius


class Contractless:
    """Not an environment."""

    splits = ("train",)


def test_importing_the_registry_loads_no_jax():
    code = "import sys, envs; envs.names(); print('jax' in sys.modules, 'mujoco' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_environment_from_outside(monkeypatch):
    monkeypatch.setitem(sys.modules, "outside", sys.modules[__name__])
    env = envs.make("outside:OutsideMaze", split="eval", goal_radius=0.2)
    assert env.goal_radius == 0.2
    assert env.reset(jax.random.key(0)).info["goal_distance"] == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "ant_uu_maze"}, "unknown environment 'ant_uu_maze'; nearest: .*ant_u_maze"),
        ({"name": "qqqq"}, "unknown environment 'qqqq'; .rl-depth envs. lists them"),
        ({"name": "point_maze", "split": "test"}, "split 'test': PointMaze has train, eval"),
        ({"name": "point_maze", "backend": "mjx"}, "backend 'mjx': PointMaze runs on planar"),
        ({"name": "ant_u_maze", "split": "test"}, "split 'test': AntMaze has train, eval"),
        ({"name": "ant_push", "backend": "spring"}, "backend 'spring': AntPush runs on mjx"),
        ({"name": "point_maze", "layout": "bigg"}, "unknown maze layout 'bigg'; nearest: big"),
        ({"name": "point_maze", "size": 7}, "unknown option 'size' .* known: layout, stitch"),
        ({"name": "nowhere.at.all:Env"}, "cannot be imported: No module named 'nowhere'"),
        ({"name": "rl_depth.envs.base:Nothing"}, "cannot be imported: .* has no attribute 'Nothing'"),
        ({"name": "outside:Contractless"}, "lacks backends, view, reset, step"),
    ],
)
def test_a_bad_name_or_option_is_named(arguments, problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "outside", sys.modules[__name__])
    with pytest.raises(ValueError, match=problem):
        envs.make(**arguments)
