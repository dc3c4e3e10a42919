"""A clip made ready to draw: the dressed model, what is visible in it, and where it is in each frame."""

from __future__ import annotations

import numpy as np

from . import look
from .clip import Clip

PLANE, HFIELD, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, MESH = range(8)
"""MuJoCo's numbers of the geom types."""


class Scene:
    """The visible geoms of a clip, and their poses.

    Attributes:
      clip: the clip.
      model: the clip's model, dressed in the shared look.
      data: MuJoCo's state, set by `pose`.
      geoms: indices of the visible geoms in the model, ``[n]``.
      kind: their types; what has no analytic shape is drawn as its bounding box, ``[n]``.
      size: their sizes as MuJoCo means them (m), ``[n, 3]``.
      rgba: their colours, ``[n, 4]``.
      chequer: sides (m) of the floors' chequers, infinite without, ``[n, 2]``.
      moving: whether they move against the world, ``[n]``.
      radius: radii (m) of their bounding spheres, infinite for planes, ``[n]``.
      roots: position (m) of the robot's root in every frame, ``[T, 3]``.
      tracks: positions (m) of all geoms in every frame, ``[T, n, 3]``.
    """

    def __init__(self, clip: Clip):
        """Dress the model and find what is visible."""
        import mujoco

        self.clip = clip
        self.model = model = look.dress(clip.model)
        self.data = mujoco.MjData(model)
        # MuJoCo's own viewer shows the groups 0 to 2; the others are collision shapes and the like.
        self.geoms = np.flatnonzero((model.geom_rgba[:, 3] > 0) & (model.geom_group < 3))
        self.kind = model.geom_type[self.geoms].astype(int)
        self.size = model.geom_size[self.geoms].astype(float)
        self.rgba = model.geom_rgba[self.geoms].astype(float)
        self.chequer = np.array([look.chequers(clip.model, geom) for geom in self.geoms]).reshape(-1, 2)
        self.moving = model.body_weldid[model.geom_bodyid[self.geoms]] != 0
        self._offset = np.zeros((len(self.geoms), 3))
        bounded = ~np.isin(self.kind, (PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX))
        self._offset[bounded] = model.geom_aabb[self.geoms[bounded], :3]
        self.size[bounded] = model.geom_aabb[self.geoms[bounded], 3:]
        self.kind[bounded] = BOX
        self.radius = np.array([_radius(kind, size) for kind, size in zip(self.kind, self.size, strict=True)])
        self._find_tracks()

    def pose(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions ``[n, 3]`` (m) and orientations ``[n, 3, 3]`` of the geoms; sets ``data`` too."""
        import mujoco

        self.data.qpos[:] = self.clip.qpos[frame]
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        mats = self.data.geom_xmat[self.geoms].reshape(-1, 3, 3)
        return self.data.geom_xpos[self.geoms] + np.einsum("nij,nj->ni", mats, self._offset), mats

    @property
    def translates(self) -> bool:
        """Whether the robot's root moves from place to place, unlike an arm's."""
        return bool(np.ptp(self.roots, axis=0).max() > 1e-6)

    def _find_tracks(self) -> None:
        """Follow the geoms and the robot's root, the first body that has a joint, through the clip."""
        root = int(self.model.jnt_bodyid[0]) if self.model.njnt else 0
        tracks = np.empty((len(self.clip), len(self.geoms), 3))
        self.roots = np.empty((len(self.clip), 3))
        for frame in range(len(self.clip)):
            tracks[frame], _ = self.pose(frame)
            self.roots[frame] = self.data.xpos[root]
        self.tracks = tracks


def extents(kind: int, size: np.ndarray) -> np.ndarray:
    """Half sides (m) of a geom's bounding box in its own axes, infinite for planes: ``[3]``."""
    if kind == PLANE:
        return np.full(3, np.inf)
    if kind == SPHERE:
        return np.full(3, size[0])
    if kind == CAPSULE:
        return np.array([size[0], size[0], size[0] + size[1]])
    if kind == CYLINDER:
        return np.array([size[0], size[0], size[1]])
    return np.asarray(size)


def _radius(kind: int, size: np.ndarray) -> float:
    """Radius of the bounding sphere."""
    half = extents(kind, size)
    if kind == CYLINDER:
        return float(np.hypot(size[0], size[1]))
    return float(np.linalg.norm(half) if kind == BOX else half.max())
