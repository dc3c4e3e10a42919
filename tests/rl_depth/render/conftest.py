"""Small scenes of known geometry."""

import mujoco
import numpy as np
import pytest

from rl_depth.render import Clip

ARENA = """
<mujoco><worldbody>
  <geom type="plane" size="4 4 .1" rgba=".9 .9 .9 1"/>
  <geom type="box" size="2 .1 .3" pos="0 2 .3" rgba=".5 .5 .6 1"/>
  <geom type="box" size="2 .1 .3" pos="0 -2 .3" rgba=".5 .5 .6 1"/>
  <geom type="box" size=".1 2 .3" pos="2 0 .3" rgba=".5 .5 .6 1"/>
  <geom type="box" size=".1 2 .3" pos="-2 0 .3" rgba=".5 .5 .6 1"/>
  <body name="point" pos="0 0 .2">
    <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
    <geom type="box" size=".2 .2 .2" rgba=".1 .4 .9 1"/>
  </body>
</worldbody></mujoco>"""


@pytest.fixture
def make_clip():
    """A blue box that slides from (-1, -1) towards a goal at (1, 1), between four walls, seen from above."""

    def make(frames=3, xml=ARENA, **changes):
        model = mujoco.MjModel.from_xml_string(xml)
        qpos = np.zeros((frames, model.nq))
        qpos[:, :2] = np.linspace(-1, 0, frames)[:, None]
        fields = {
            "model": model,
            "qpos": qpos,
            "goal": np.array([1.0, 1.0, 0.2]),
            "goal_radius": 0.3,
            "success": np.zeros(frames, bool),
            "caption": "stacked, depth 16",
            "view": "top",
            "dt": 0.1,
        }
        return Clip(**fields | changes)

    return make
