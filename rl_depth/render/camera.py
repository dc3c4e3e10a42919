"""Where the picture is taken from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from .scene import PLANE, Scene, extents

_TOP_FOVY = 30.0  # degrees; small, so that walls hide little of the corridors behind them
_FOLLOW_FOVY = 40.0
_MARGIN = 1.04
_SMOOTHING = 0.5  # s; the camera does not shake with the gait


@dataclasses.dataclass(frozen=True)
class Camera:
    """A perspective camera in MuJoCo's terms.

    Attributes:
      lookat: the point in the middle of the picture, m.
      distance: from it to the camera, m.
      azimuth: direction of view about the vertical, degrees.
      elevation: direction of view above the horizon (negative: downwards), degrees.
      fovy: vertical field of view, degrees.
    """

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors to the front, the right and the top of the picture."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        ahead = np.array([math.cos(azimuth), math.sin(azimuth)])
        front = np.array([*(math.cos(elevation) * ahead), math.sin(elevation)])
        up = np.array([*(-math.sin(elevation) * ahead), math.cos(elevation)])
        return front, np.cross(front, up), up

    @property
    def position(self) -> np.ndarray:
        """Where the camera is, m."""
        return np.array(self.lookat) - self.distance * self.axes()[0]

    def project(self, points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Where points appear.

        Args:
          points: world positions ``[..., 3]``, m.
          size: width and height of the picture, pixels.

        Returns:
          Pixel coordinates ``[..., 2]`` from the upper left corner, and the distance along the line of
          sight ``[...]`` (m), negative behind the camera.
        """
        front, right, up = self.axes()
        offset = np.asarray(points) - self.position
        depth = offset @ front
        focal = size[1] / 2 / math.tan(math.radians(self.fovy) / 2)
        scale = focal / np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        across = size[0] / 2 + scale * (offset @ right)
        down = size[1] / 2 - scale * (offset @ up)
        return np.stack([across, down], axis=-1), depth

    def rays(self, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Directions (not of unit length: one along the line of sight) through pixels ``[n, 2]``: ``[n, 3]``."""
        front, right, up = (axis.astype(np.float32) for axis in self.axes())
        focal = size[1] / 2 / math.tan(math.radians(self.fovy) / 2)
        across = ((pixels[:, 0] - size[0] / 2) / focal)[:, None]
        down = ((pixels[:, 1] - size[1] / 2) / focal)[:, None]
        return front + across * right - down * up


def cameras(scene: Scene, size: tuple[int, int]) -> list[Camera]:
    """The camera of every frame; one and the same object as long as it stands still."""
    if scene.clip.view == "top":
        return [_top(scene, size)] * len(scene.clip)
    if not scene.translates:
        return [_standing(scene, size)] * len(scene.clip)
    return _following(scene)


def _top(scene: Scene, size: tuple[int, int]) -> Camera:
    """From above, x downwards and y to the right, as maze layouts are written."""
    low, high = _bounds(scene)
    walls = _walls(scene)
    if walls is not None:
        inside = np.vstack([scene.clip.goal, scene.roots[:1]])[:, :2]
        # A robot that breaks out of a maze does not make the picture smaller.
        if (inside > walls[0][:2]).all() and (inside < walls[1][:2]).all():
            low, high = walls
    centre, half = (low + high) / 2, np.maximum((high - low) / 2, scene.clip.goal_radius)
    slope = math.tan(math.radians(_TOP_FOVY) / 2)
    distance = _MARGIN * max(half[0] / slope, half[1] / (slope * size[0] / size[1]))
    return Camera((centre[0], centre[1], high[2]), distance, azimuth=180, elevation=-90, fovy=_TOP_FOVY)


def _standing(scene: Scene, size: tuple[int, int]) -> Camera:
    """Of an arm that is fixed to the ground: wide enough for all it does."""
    low, high = _bounds(scene)
    reach = float(np.linalg.norm(high - low)) / 2
    slope = math.tan(math.radians(_FOLLOW_FOVY) / 2) * min(1, size[0] / size[1])
    lookat = tuple((low + high) / 2)
    return Camera(lookat, 0.9 * reach / slope, azimuth=140, elevation=-35, fovy=_FOLLOW_FOVY)


def _following(scene: Scene) -> list[Camera]:
    """Behind the robot's root, smoothed over time; the goal lies ahead, a little to the side."""
    own = scene.moving & np.isfinite(scene.radius)
    spread = np.linalg.norm(scene.tracks[0, own] - scene.roots[0], axis=1)
    near = spread < 3 * np.median(spread) + 0.5  # not the ball or box that lies elsewhere
    reach = float((spread + scene.radius[own])[near].max()) if near.any() else 1.0
    window = max(1, round(_SMOOTHING / scene.clip.dt)) | 1
    padded = np.pad(scene.roots, ((window // 2, window // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.vstack([np.zeros(3), padded]), axis=0)
    smooth = (total[window:] - total[:-window]) / window
    ahead = (scene.clip.goal[0] - scene.roots[0])[:2]
    azimuth = math.degrees(math.atan2(ahead[1], ahead[0])) + 18
    return [Camera(tuple(root), 5.2 * reach, azimuth, elevation=-22, fovy=_FOLLOW_FOVY) for root in smooth]


def _walls(scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest corner of what stands still apart from floors; None if nothing does."""
    walls = ~scene.moving & (scene.kind != PLANE)
    if not walls.any():
        return None
    half = _half_extents(scene, walls)
    return (scene.tracks[0, walls] - half).min(axis=0), (scene.tracks[0, walls] + half).max(axis=0)


def _bounds(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of all that moves, with the goal and what stands around."""
    goal, radius = scene.clip.goal, scene.clip.goal_radius
    corners = [goal - radius, goal + radius, *(wall[None] for wall in _walls(scene) or ())]
    if scene.moving.any():
        tracks, radii = scene.tracks[:, scene.moving], scene.radius[scene.moving][:, None]
        corners += [(tracks - radii).min(axis=1), (tracks + radii).max(axis=1)]
    return np.concatenate(corners).min(axis=0), np.concatenate(corners).max(axis=0)


def _half_extents(scene: Scene, chosen: np.ndarray) -> np.ndarray:
    """Half sides (m) of the upright boxes around some geoms in the first frame: ``[n, 3]``."""
    _, mats = scene.pose(0)
    own = [extents(scene.kind[geom], scene.size[geom]) for geom in np.flatnonzero(chosen)]
    return np.einsum("nij,nj->ni", np.abs(mats[chosen]), np.array(own))
