"""Pictures by a ray caster in NumPy, for machines without OpenGL.

Every shape is convex, so a ray meets it in one interval; all else is built on that. What stands still is
cast once per camera, what moves only within the rectangle that it can touch.

Axes: ``h``, ``w`` rows and columns, ``n`` rays.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

from . import look
from .camera import Camera
from .scene import BOX, CAPSULE, CYLINDER, PLANE, SPHERE, Scene, extents

_OVERSAMPLING = 2  # rays along each side of a pixel, for smooth edges
_MARKER_ALPHA = 0.55
_UPRIGHT = np.array([0, 0, 1], np.float32)
_SUN = look.SUN_DIRECTION.astype(np.float32)
_CORNERS = np.array(list(itertools.product((-1, 1), repeat=3)))
_LIFT = 2e-3  # m; shadow rays begin above the surface, or it would shade itself

_Window = tuple[slice, slice]


class SoftwareRenderer:
    """Draws a scene without OpenGL."""

    def __init__(self, scene: Scene, size: tuple[int, int]):
        """Prepare.

        Args:
          scene: what to draw.
          size: width and height, pixels.
        """
        self._scene = scene
        self._size = (_OVERSAMPLING * size[0], _OVERSAMPLING * size[1])
        self._camera: Camera | None = None

    def draw(self, frame: int, camera: Camera) -> np.ndarray:
        """The picture of a frame: ``[height, width, 3]``, uint8."""
        bodies = self._bodies(frame)
        still = [body for body in bodies if not body.moving]
        moving = [body for body in bodies if body.moving]
        if camera is not self._camera:
            self._look_from(camera, still)
        image, depth = self._picture.copy(), self._background.depth.copy()
        window = _enclosing([self._reach(body) for body in moving])
        layer = self._background.crop(window)
        for body in moving:
            self._cast(body, layer, window)
        self._shade(layer, moving, window, moving=False)
        self._shade(layer, bodies, window, moving=True)
        image[window], depth[window] = self._light(layer, window), layer.depth
        self._add_marker(frame, image, depth)
        return _shrink(image)

    def close(self) -> None:
        """Nothing to free."""

    def _bodies(self, frame: int) -> list[_Body]:
        scene = self._scene
        positions, mats = scene.pose(frame)
        rows = zip(scene.kind, scene.size, positions, mats, scene.rgba, scene.chequer, scene.moving, strict=True)
        return [_Body(*row) for row in rows]

    def _look_from(self, camera: Camera, still: list[_Body]) -> None:
        """Move to a camera: cast and light all that stands still."""
        width, height = self._size
        past = self._camera
        if past is None or _direction(past) != _direction(camera):
            down, across = np.mgrid[:height, :width].astype(np.float32) + 0.5
            pixels = np.stack([across.ravel(), down.ravel()], axis=-1)
            self._rays = camera.rays(pixels, self._size).astype(np.float32).reshape(height, width, 3)
            self._sky = _sky(self._size)
        self._camera, self._eye = camera, camera.position.astype(np.float32)
        self._pixel = _OVERSAMPLING * 2 * math.tan(math.radians(camera.fovy) / 2) / height
        self._background = _Layer.empty(height, width)
        whole = (slice(0, height), slice(0, width))
        for body in still:
            self._cast(body, self._background, whole)
        self._shade(self._background, still, whole, moving=False)
        self._picture = self._light(self._background, whole)

    def _cast(self, body: _Body, layer: _Layer, window: _Window) -> None:
        """Draw a body into a layer that covers ``window``, where nothing nearer stands."""
        own = _intersection(self._footprint(body.corners()), window) if body.kind != PLANE else window
        if _empty(own):
            return
        part = _within(own, window)
        rays = self._rays[own].reshape(-1, 3)
        near, far = body.meet(self._eye, rays)
        hit = (near < far) & (near > 0) & (near < layer.depth[part].ravel())
        depth, rays = near[hit], rays[hit]
        normal, colour = body.surface(self._eye + depth[:, None] * rays, rays, depth * self._pixel)
        hit = hit.reshape(layer.depth[part].shape)
        layer.depth[part][hit] = depth
        layer.normal[part][hit] = normal
        layer.colour[part][hit] = colour
        layer.sunny[part][hit] = True
        layer.moving[part][hit] = body.moving

    def _shade(self, layer: _Layer, occluders: list[_Body], window: _Window, moving: bool) -> None:
        """Let bodies throw shadows on what moves, or on what stands still, in a layer that covers ``window``."""
        facing = layer.normal @ _SUN > 0
        for body in occluders:
            own = _intersection(self._shadow(body), window)
            if body.kind == PLANE or _empty(own):
                continue
            part = _within(own, window)
            open_ = layer.sunny[part] & facing[part] & (layer.moving[part] == moving)
            rows, columns = np.nonzero(open_)
            rows, columns = rows + part[0].start, columns + part[1].start
            rays = self._rays[rows + window[0].start, columns + window[1].start]
            points = self._eye + layer.depth[rows, columns, None] * rays
            near, far = body.meet(points + _LIFT * layer.normal[rows, columns], _SUN[None])
            dark = (near < far) & (far > _LIFT)
            layer.sunny[rows[dark], columns[dark]] = False

    def _light(self, layer: _Layer, window: _Window) -> np.ndarray:
        """Colours of a layer that covers ``window``: ``[h, w, 3]``, shares of full intensity."""
        rays = self._rays[window]
        facing = -np.einsum("hwi,hwi->hw", layer.normal, rays) / np.sqrt(np.einsum("hwi,hwi->hw", rays, rays))
        sun = np.maximum(layer.normal @ _SUN, 0) * layer.sunny
        light = look.AMBIENT + look.EYE * np.maximum(facing, 0) + look.SUN * sun
        lit = np.minimum(layer.colour * light[..., None], 1)
        return np.where(np.isinf(layer.depth)[..., None], self._sky[window], lit).astype(np.float32)

    def _add_marker(self, frame: int, image: np.ndarray, depth: np.ndarray) -> None:
        """Blend the goal into a whole image, where nothing of ``depth [h, w]`` hides it."""
        clip = self._scene.clip
        size = np.full(3, clip.goal_radius)
        rgba = np.array([*look.goal_colour(bool(clip.success[frame])), 1])
        marker = _Body(SPHERE, size, clip.goal[frame], np.eye(3), rgba, np.full(2, np.inf), True)
        own = self._footprint(marker.corners())
        if _empty(own):
            return
        rays = self._rays[own].reshape(-1, 3)
        near, far = marker.meet(self._eye, rays)
        hit = np.flatnonzero((near < far) & (near > 0) & (near < depth[own].ravel()))
        rows, columns = np.divmod(hit, own[1].stop - own[1].start)
        rows, columns = rows + own[0].start, columns + own[1].start
        normal, colour = marker.surface(self._eye + near[hit, None] * rays[hit], rays[hit], near[hit])
        facing = -np.einsum("ni,ni->n", normal, rays[hit]) / np.linalg.norm(rays[hit], axis=1)
        # Denser towards the rim, as glass is, which keeps what is inside in view.
        alpha = _MARKER_ALPHA + (1 - _MARKER_ALPHA) * (1 - np.clip(facing, 0, 1))[:, None] ** 2
        image[rows, columns] += alpha * (colour - image[rows, columns])

    def _reach(self, body: _Body) -> _Window:
        """The rectangle in which a body or its shadow can be seen."""
        return _enclosing([self._footprint(body.corners()), self._shadow(body)])

    def _shadow(self, body: _Body) -> _Window:
        """The rectangle in which a body's shadow can be seen, on itself or on what is below it."""
        corners = body.corners()
        fall = (corners[:, 2] - min(self._floor, corners[:, 2].min())) / look.SUN_DIRECTION[2]
        return self._footprint(np.vstack([corners, corners - fall[:, None] * look.SUN_DIRECTION]))

    @property
    def _floor(self) -> float:
        """Height (m) below which nothing is drawn that a shadow could fall on."""
        planes = self._scene.kind == PLANE
        heights = self._scene.tracks[0, planes if planes.any() else slice(None), 2]
        return float(heights.min()) if heights.size else 0.0

    def _footprint(self, corners: np.ndarray) -> _Window:
        """The rectangle that holds the picture of points ``[n, 3]`` (m) and what lies between them."""
        width, height = self._size
        assert self._camera is not None, "nothing has been looked at"
        pixels, depth = self._camera.project(corners, self._size)
        if (depth <= 1e-3).all():
            return (slice(0, 0), slice(0, 0))
        if (depth <= 1e-3).any():
            return (slice(0, height), slice(0, width))
        left, top = np.floor(pixels.min(axis=0)) - 1
        right, bottom = np.ceil(pixels.max(axis=0)) + 1
        rows = slice(int(np.clip(top, 0, height)), int(np.clip(bottom, 0, height)))
        return (rows, slice(int(np.clip(left, 0, width)), int(np.clip(right, 0, width))))


@dataclasses.dataclass
class _Layer:
    """What the rays of a rectangle of pixels meet first."""

    depth: np.ndarray  # [h, w]: m along the line of sight; infinite where there is only sky
    normal: np.ndarray  # [h, w, 3]
    colour: np.ndarray  # [h, w, 3]: before light
    sunny: np.ndarray  # [h, w]: nothing hides the sun
    moving: np.ndarray  # [h, w]: the body met is one that moves

    @classmethod
    def empty(cls, height: int, width: int) -> _Layer:
        return cls(
            depth=np.full((height, width), np.inf, np.float32),
            normal=np.zeros((height, width, 3), np.float32),
            colour=np.zeros((height, width, 3), np.float32),
            sunny=np.zeros((height, width), bool),
            moving=np.zeros((height, width), bool),
        )

    def crop(self, window: _Window) -> _Layer:
        """A copy of a part."""
        return _Layer(*(getattr(self, field.name)[window].copy() for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class _Body:
    """A shape in the world."""

    kind: int
    size: np.ndarray  # [3], m, as MuJoCo means it
    position: np.ndarray  # [3], m
    mat: np.ndarray  # [3, 3], local to world
    rgba: np.ndarray  # [4]
    chequer: np.ndarray  # [2], m
    moving: bool

    def corners(self) -> np.ndarray:
        """Corners of the bounding box: ``[8, 3]``, m; of a plane, its position alone ``[1, 3]``."""
        if self.kind == PLANE:
            return self.position[None]
        return self.position + (_CORNERS * extents(self.kind, self.size)) @ self.mat.T

    def meet(self, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where rays enter and leave, in multiples of the ray; they enter after they leave if they miss.

        Args:
          origins: ``[3]`` or ``[n, 3]``, m.
          rays: ``[n, 3]`` or ``[1, 3]``, of any length.

        Returns:
          Two arrays ``[n]``.
        """
        mat = self.mat.astype(np.float32)
        origin = _turn((origins - self.position).astype(np.float32), mat)
        ray = _turn(rays, mat)
        if self.kind == PLANE:
            return _meet_plane(origin, ray, self.size.astype(np.float32))
        # Seen from afar, a small body's equation loses its digits unless the ray begins beside the body.
        ahead = -(ray @ origin if origin.ndim == 1 else (ray * origin).sum(axis=1)) / (ray * ray).sum(axis=1)
        near, far = _meet(self.kind, self.size.astype(np.float32), origin + ahead[:, None] * ray, ray)
        return near + ahead, far + ahead

    def surface(self, points: np.ndarray, rays: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normals and colours where rays meet the surface.

        Args:
          points: there, ``[n, 3]``, m.
          rays: ``[n, 3]``.
          width: what a pixel spans at that distance, ``[n]``, m.

        Returns:
          Two arrays ``[n, 3]``.
        """
        mat = self.mat.astype(np.float32)
        local = _turn(points - self.position.astype(np.float32), mat)
        colour = np.broadcast_to(self.rgba[:3].astype(np.float32), local.shape)
        if np.isfinite(self.chequer).all():
            tiles = np.floor(local[:, :2] * (1 / self.chequer).astype(np.float32)).astype(np.int32)
            # Chequers finer than a pixel, far away, fade into their mean instead of flickering.
            span = width / np.maximum(np.abs(rays @ mat[:, 2]), 1e-3) / np.float32(self.chequer.min())
            sign = np.where(tiles.sum(axis=1) & 1, 0.5, -0.5) * np.clip(1.4 - 0.8 * span, 0, 1)
            dark, bright = np.array(look.FLOOR_TONES, np.float32)
            colour = (dark + bright) / 2 + sign[:, None].astype(np.float32) * (bright - dark)
        if self.kind == PLANE:
            return np.broadcast_to(mat[:, 2], local.shape), colour
        normal = _normal(self.kind, self.size.astype(np.float32), local)
        length = np.sqrt(np.einsum("ni,ni->n", normal, normal))[:, None]
        return (normal / np.maximum(length, 1e-9)) @ mat.T, colour


def _turn(vectors: np.ndarray, mat: np.ndarray) -> np.ndarray:
    """``vectors @ mat``; free for floors, which fill the picture and are not turned."""
    return vectors if np.array_equal(mat, np.eye(3)) else vectors @ mat


_Interval = tuple[np.ndarray, np.ndarray]


def _meet(kind: int, size: np.ndarray, origin: np.ndarray, ray: np.ndarray) -> _Interval:
    """Where local rays enter and leave a convex body around the local origin: ``[n]`` each."""
    if kind == BOX:
        return _meet_slabs(origin, ray, size)
    if kind in (CAPSULE, CYLINDER):
        round_ = _meet_round(origin[:, :2] / size[0], ray[:, :2] / size[0])
        tube = _both(round_, _meet_slabs(origin[:, 2:], ray[:, 2:], size[1:2]))
        if kind == CYLINDER:
            return tube
        ends = [_meet_round((origin - side * size[1] * _UPRIGHT) / size[0], ray / size[0]) for side in (-1, 1)]
        return _either([tube, *ends])
    scale = size[0] if kind == SPHERE else size
    return _meet_round(origin / scale, ray / scale)


def _meet_plane(origin: np.ndarray, ray: np.ndarray, size: np.ndarray) -> _Interval:
    """Where rays fall on a rectangle from above; a side of no length is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = -origin[..., 2] / ray[:, 2]
        points = origin[..., :2] + near[:, None] * ray[:, :2]
    inside = ((np.abs(points) <= size[:2]) | (size[:2] <= 0)).all(axis=1)
    near = np.where((ray[:, 2] < 0) & inside, near, np.inf)
    return near, np.full_like(near, np.inf)


def _meet_round(origin: np.ndarray, ray: np.ndarray) -> _Interval:
    """The unit sphere, or the unit circle if the rays have two components."""
    a = np.einsum("ni,ni->n", *np.broadcast_arrays(ray, ray))
    b = np.einsum("ni,ni->n", *np.broadcast_arrays(origin, ray))
    c = np.einsum("ni,ni->n", origin, origin) - 1
    a = np.maximum(a, 1e-12)  # zero for a ray along the axis of a tube
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    hit = inside > 0
    return np.where(hit, (-b - root) / a, np.inf), np.where(hit, (-b + root) / a, -np.inf)


def _meet_slabs(origin: np.ndarray, ray: np.ndarray, half: np.ndarray) -> _Interval:
    """The box of half sides ``half [k]``."""
    step = np.where(np.abs(ray) < 1e-9, np.float32(1e-9), ray)
    one, other = (-half - origin) / step, (half - origin) / step
    return np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1)


def _both(one: _Interval, other: _Interval) -> _Interval:
    return np.maximum(one[0], other[0]), np.minimum(one[1], other[1])


def _either(parts: list[_Interval]) -> _Interval:
    """The union, known to be one interval."""
    nears = [np.where(near < far, near, np.inf) for near, far in parts]
    fars = [np.where(near < far, far, -np.inf) for near, far in parts]
    return np.minimum.reduce(nears), np.maximum.reduce(fars)


def _normal(kind: int, size: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Outward normals, of any length, at points of a body's surface: ``[n, 3]``, local."""
    if kind == BOX:
        share = points / size
        side = np.abs(share).argmax(axis=1)[:, None]
        normal = np.zeros_like(points)
        np.put_along_axis(normal, side, np.sign(np.take_along_axis(share, side, axis=1)), axis=1)
        return normal
    if kind == CYLINDER:
        cap = np.abs(points[:, 2]) / size[1] > np.hypot(points[:, 0], points[:, 1]) / size[0]
        return np.where(cap[:, None], points * _UPRIGHT, points * (1 - _UPRIGHT))
    if kind == CAPSULE:
        middle = np.clip(points[:, 2], -size[1], size[1])
        return points - middle[:, None] * _UPRIGHT
    return points if kind == SPHERE else points / size**2


def _direction(camera: Camera) -> tuple[float, float, float]:
    return camera.azimuth, camera.elevation, camera.fovy


def _sky(size: tuple[int, int]) -> np.ndarray:
    """A gradient from the horizon upwards: ``[height, width, 3]``."""
    rise = np.linspace(1, 0, size[1], dtype=np.float32)[:, None, None]
    low, high = np.array(look.SKY_LOW, np.float32), np.array(look.SKY_HIGH, np.float32)
    return np.broadcast_to(low + rise * (high - low), (size[1], size[0], 3))


def _shrink(image: np.ndarray) -> np.ndarray:
    """Mean over each pixel's rays, as uint8."""
    parts = (image[i::_OVERSAMPLING, j::_OVERSAMPLING] for i, j in itertools.product(range(_OVERSAMPLING), repeat=2))
    mean = sum(parts) * (255 / _OVERSAMPLING**2)
    return np.clip(mean + 0.5, 0, 255).astype(np.uint8)


def _enclosing(windows: list[_Window]) -> _Window:
    full = [window for window in windows if not _empty(window)]
    if not full:
        return (slice(0, 0), slice(0, 0))
    rows, columns = (slice(min(w[k].start for w in full), max(w[k].stop for w in full)) for k in (0, 1))
    return rows, columns


def _intersection(one: _Window, other: _Window) -> _Window:
    rows, columns = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns


def _within(window: _Window, outer: _Window) -> _Window:
    """A window in the coordinates of one that holds it."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, outer, strict=True))
    return rows, columns


def _empty(window: _Window) -> bool:
    return any(part.start >= part.stop for part in window)
