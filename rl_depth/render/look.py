"""The look that all backends share: light, colours, and a copy of the model dressed in them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mujoco

# Shares of a surface's colour: light from everywhere, from the eye, and from the sun.
AMBIENT, EYE, SUN = 0.46, 0.16, 0.44
SUN_DIRECTION = np.array([-0.45, -0.35, 0.82]) / np.linalg.norm([-0.45, -0.35, 0.82])
"""From the scene towards the sun."""

SKY_LOW = (0.93, 0.95, 0.97)
SKY_HIGH = (0.70, 0.80, 0.90)
FLOOR_TONES = ((0.84, 0.86, 0.89), (0.90, 0.92, 0.94))
"""The two tones of a chequered floor."""

GOAL_AHEAD = (0.80, 0.16, 0.50)
GOAL_REACHED = (0.00, 0.62, 0.45)

_ROBOT_TONE = 0.8  # least value of the strongest colour of what moves
_UNSET = (0.5, 0.5, 0.5, 1.0)  # what MuJoCo gives a geom that names no colour


def goal_colour(reached: bool) -> tuple[float, float, float]:
    """Colour of the goal marker."""
    return GOAL_REACHED if reached else GOAL_AHEAD


def dress(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy of the model in plain, matt colours: every geom's colour stands in ``geom_rgba``.

    Only floors keep their texture, in two soft tones, and go on for ever. What moves is lightened, to stand
    out from its shadow. MuJoCo's rule for what a geom looks like: its own colour, unless that is the default
    one and it has a material.
    """
    dressed = copy.copy(model)
    floor = np.asarray(dressed.geom_type) == 0
    for geom in range(model.ngeom):
        material = int(model.geom_matid[geom])
        own = tuple(np.round(model.geom_rgba[geom].astype(float), 4))
        textures = _textures(model, material)
        if floor[geom] and textures:
            dressed.geom_rgba[geom] = (1, 1, 1, own[3])
            dressed.mat_texrepeat[material] = 1 / chequers(model, geom)
            dressed.mat_texuniform[material] = 1
            for texture in textures:
                _paint(dressed, texture)
            continue
        rgba = np.array(own if own != _UNSET or material < 0 else model.mat_rgba[material], float)
        if floor[geom] and own == _UNSET and material < 0:
            rgba[:3] = FLOOR_TONES[0]
        for texture in textures:
            rgba[:3] *= _texels(model, texture).mean(axis=0) / 255
        if model.body_weldid[model.geom_bodyid[geom]] != 0:
            rgba[:3] *= max(1.0, _ROBOT_TONE / max(rgba[:3].max(), 1e-3))
        dressed.geom_rgba[geom] = rgba
        dressed.geom_matid[geom] = -1
    dressed.geom_size[floor, :2] = 0
    dressed.mat_reflectance[:] = 0
    dressed.mat_emission[:] = 0
    return dressed


def chequers(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Sides (m) of a floor's chequers along its x and y, ``[2]``; infinite if it is plain."""
    material = int(model.geom_matid[geom])
    if model.geom_type[geom] != 0 or not _textures(model, material):
        return np.full(2, np.inf)
    repeat = model.mat_texrepeat[material].astype(float)
    extent = np.where(model.geom_size[geom, :2] > 0, model.geom_size[geom, :2], 1.0)
    period = 1 / repeat if model.mat_texuniform[material] else 2 * extent / repeat
    return period / 2


def _textures(model: mujoco.MjModel, material: int) -> list[int]:
    if material < 0:
        return []
    return [int(texture) for texture in np.ravel(model.mat_texid[material]) if texture >= 0]


def _texels(model: mujoco.MjModel, texture: int) -> np.ndarray:
    """View of a texture's colours: ``[pixels, 3]``, uint8."""
    channels = int(model.tex_nchannel[texture])
    pixels = int(model.tex_height[texture]) * int(model.tex_width[texture])
    start = int(model.tex_adr[texture])
    texels = model.tex_data[start : start + pixels * channels].reshape(pixels, channels)
    return texels[:, :3] if channels >= 3 else texels[:, :1]


def _paint(model: mujoco.MjModel, texture: int) -> None:
    """Replace a texture's dark and light by the floor's two tones, in place."""
    texels = _texels(model, texture)
    light = texels.mean(axis=1, keepdims=True)
    span = max(float(np.ptp(light)), 1.0)
    share = (light - light.min()) / span
    dark, bright = 255 * np.array(FLOOR_TONES)
    texels[:] = np.round(dark + share * (bright - dark))[:, : texels.shape[1]]
