"""Pictures by MuJoCo's own OpenGL renderer, without a display."""

from __future__ import annotations

import importlib

import numpy as np

from . import look
from .camera import Camera
from .scene import Scene

_MARKER_ALPHA = 0.45
_SHADOW_MAP = 2048  # pixels; MuJoCo's 4096 costs most of a frame where OpenGL runs on a CPU


class GLRenderer:
    """Draws a scene through an OpenGL context of its own.

    The context comes from the backend's class, not from ``mujoco.Renderer``: that one settles on a backend
    when MuJoCo is first imported, which Brax has done before we choose.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], backend: str):
        """Create the context.

        Args:
          scene: what to draw.
          size: width and height, pixels.
          backend: "egl", "osmesa", "glfw" or "cgl".

        Raises:
          OSError: no context can be had.
        """
        import mujoco

        self._scene, self._model = scene, scene.model
        self._configure(size)
        try:
            self._context = importlib.import_module(f"mujoco.{backend}").GLContext(*size)
            self._context.make_current()
            self._drawing = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # whatever a driver raises
            raise OSError(f"no OpenGL through {backend}: {error}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawing)
        # Zero means infinitely far, which marks the background.
        self._drawing.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._rect = mujoco.MjrRect(0, 0, *size)
        self._view = mujoco.MjvScene(self._model, maxgeom=len(scene.geoms) + 100)
        self._view.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        self._view.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        self._sky = _sky(size)

    def draw(self, frame: int, camera: Camera) -> np.ndarray:
        """The picture of a frame: ``[height, width, 3]``, uint8."""
        import mujoco

        self._scene.pose(frame)
        self._update(camera)
        self._add_marker(frame)
        self._context.make_current()
        mujoco.mjr_render(self._rect, self._view, self._drawing)
        image = np.empty((self._rect.height, self._rect.width, 3), np.uint8)
        depth = np.empty(image.shape[:2], np.float32)
        mujoco.mjr_readPixels(image, depth, self._rect, self._drawing)
        image, depth = image[::-1], depth[::-1]
        return np.where((depth == 0)[..., None], self._sky, image)

    def close(self) -> None:
        """Free the context."""
        self._context.make_current()
        self._drawing.free()
        self._context.free()

    def _configure(self, size: tuple[int, int]) -> None:
        """Set what MuJoCo reads from the model: picture size, lamp at the eye, shadows."""
        visual = self._model.vis
        visual.global_.offwidth, visual.global_.offheight = size
        visual.quality.shadowsize = _SHADOW_MAP
        visual.headlight.active = 1
        visual.headlight.ambient[:] = look.AMBIENT
        visual.headlight.diffuse[:] = look.EYE
        visual.headlight.specular[:] = 0

    def _update(self, camera: Camera) -> None:
        """Fill the view with the geoms, our camera and our lights."""
        import mujoco

        view = mujoco.MjvCamera()
        view.lookat[:] = camera.lookat
        view.distance, view.azimuth, view.elevation = camera.distance, camera.azimuth, camera.elevation
        visual = self._model.vis
        visual.global_.fovy = camera.fovy
        # Clipping planes are multiples of the extent, and the sun's shadow reaches as far as it.
        self._model.stat.extent = camera.distance
        visual.map.znear, visual.map.zfar = 0.02, 50
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._scene.data, self._options, None, view, everything, self._view)
        for geom in self._view.geoms[: self._view.ngeom]:
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
                geom.category = mujoco.mjtCatBit.mjCAT_DECOR  # throws no shadow: a floor would only shade itself
        self._light(camera)

    def _light(self, camera: Camera) -> None:
        """Put our sun in the place of the model's own lights, beside the lamp at the eye."""
        import mujoco

        self._view.nlight = 2
        sun = self._view.lights[1]
        sun.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        sun.headlight, sun.castshadow, sun.texid, sun.id = 0, 1, -1, -1
        sun.pos[:] = np.array(camera.lookat) + 3 * camera.distance * look.SUN_DIRECTION
        sun.dir[:] = -look.SUN_DIRECTION
        sun.ambient[:], sun.specular[:] = 0, 0
        sun.diffuse[:] = look.SUN
        sun.attenuation[:] = (1, 0, 0)
        sun.cutoff, sun.exponent = 180, 0

    def _add_marker(self, frame: int) -> None:
        import mujoco

        clip = self._scene.clip
        rgba = np.array([*look.goal_colour(bool(clip.success[frame])), _MARKER_ALPHA], np.float32)
        marker = self._view.geoms[self._view.ngeom]
        radius = np.full(3, clip.goal_radius)
        mujoco.mjv_initGeom(marker, mujoco.mjtGeom.mjGEOM_SPHERE, radius, clip.goal[frame], np.eye(3).ravel(), rgba)
        marker.emission, marker.category = 0.1, mujoco.mjtCatBit.mjCAT_DECOR
        self._view.ngeom += 1


def _sky(size: tuple[int, int]) -> np.ndarray:
    """A gradient from the horizon upwards: ``[height, width, 3]``, uint8."""
    rise = np.linspace(1, 0, size[1])[:, None, None]
    low, high = np.array(look.SKY_LOW), np.array(look.SKY_HIGH)
    image = np.round(255 * (low + rise * (high - low))).astype(np.uint8)
    return np.broadcast_to(image, (size[1], size[0], 3))
