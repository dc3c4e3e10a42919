"""One page that shows episodes in a browser: everything is in the file, and nothing is fetched."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import look
from .camera import cameras
from .clip import Clip
from .scene import Scene
from .video import replacing

_TEMPLATE = Path(__file__).with_name("viewer.html")
_SIZE = (4, 3)  # shape of the picture that the first view is chosen for


def write_viewer(path: Path, clips: Sequence[Clip]) -> None:
    """Write a page that plays clips, alone or all at once, and can be turned and zoomed.

    Args:
      path: the ``.html`` file; it appears whole or not at all.
      clips: the episodes.

    Raises:
      ValueError: no clips.
      OSError: the file cannot be written.
    """
    if not clips:
        raise ValueError("no clips to show")
    data = json.dumps({"look": _look(), "clips": [_describe(clip) for clip in clips]}, separators=(",", ":"))
    # Within a script element only "<" can end it; JSON reads the escape as the same letter.
    page = _TEMPLATE.read_text(encoding="utf-8").replace("@DATA@", data.replace("<", "\\u003c"))
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _look() -> dict[str, Any]:
    upright = look.AMBIENT + look.EYE + look.SUN * look.SUN_DIRECTION[2]
    return {
        "light": [look.AMBIENT, look.EYE, look.SUN],
        "sun": look.SUN_DIRECTION.tolist(),
        "shadow": look.SUN * look.SUN_DIRECTION[2] / upright,
        "sky": look.SKY_LOW,
        "floor": look.FLOOR_TONES,
        "ahead": look.GOAL_AHEAD,
        "reached": look.GOAL_REACHED,
    }


def _describe(clip: Clip) -> dict[str, Any]:
    """A clip as JSON: names as in `viewer.html`."""
    scene = Scene(clip)
    positions, quaternions = _poses(scene)
    moving = scene.moving & (scene.kind != 0)
    tracks = positions[:, moving]
    low, span = np.zeros(3), np.ones(3)
    if moving.any():
        low = tracks.min(axis=(0, 1))
        span = np.maximum(tracks.max(axis=(0, 1)) - low, 1e-6)
    views = cameras(scene, _SIZE)
    view = views[0]
    return {
        "caption": clip.caption,
        "dt": clip.dt,
        "goal_radius": clip.goal_radius,
        "geoms": [_geom(scene, i, moving[i], positions[0, i], quaternions[0, i]) for i in range(len(scene.geoms))],
        "low": low.tolist(),
        "span": span.tolist(),
        "position": _packed(np.round(65535 * (tracks - low) / span), "<u2"),
        "quaternion": _packed(np.round(32767 * quaternions[:, moving]), "<i2"),
        "goal": _packed(_once(clip.goal), "<f4"),
        "success": _packed(clip.success, "u1"),
        "lookat": _packed(_once(np.array([camera.lookat for camera in views])), "<f4"),
        "camera": {
            "distance": float(view.distance),
            "azimuth": float(view.azimuth),
            "elevation": float(view.elevation),
            "fovy": float(view.fovy),
        },
    }


def _geom(scene: Scene, geom: int, moving: bool, position: np.ndarray, quaternion: np.ndarray) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": int(scene.kind[geom]),
        "size": np.round(scene.size[geom], 5).tolist(),
        "colour": np.round(scene.rgba[geom, :3], 3).tolist(),
    }
    if not moving:
        described["pose"] = np.round(np.concatenate([position, quaternion]), 5).tolist()
    if np.isfinite(scene.chequer[geom]).all():
        described["chequer"] = scene.chequer[geom].tolist()
    return described


def _poses(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``[T, n, 3]`` (m) and unit quaternions ``[T, n, 4]`` (w first) of all geoms."""
    import mujoco

    quaternions = np.empty((*scene.tracks.shape[:2], 4))
    for frame in range(len(scene.clip)):
        _, mats = scene.pose(frame)
        for quaternion, mat in zip(quaternions[frame], mats, strict=True):
            mujoco.mju_mat2Quat(quaternion, mat.ravel())
    return scene.tracks, quaternions


def _once(track: np.ndarray) -> np.ndarray:
    """A track ``[T, 3]``, cut to its first row if it stands still."""
    return track[:1] if (track == track[0]).all() else track


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
