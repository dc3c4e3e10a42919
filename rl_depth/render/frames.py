"""A clip drawn frame by frame, with a band of text below each picture."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import look
from .backends import SOFTWARE, choose_backend
from .camera import cameras
from .clip import Clip
from .scene import Scene

_PAPER = (252, 252, 253)
_INK = (38, 44, 54)
_FAINT = (120, 128, 140)


def band_height(size: tuple[int, int]) -> int:
    """Height (pixels, even) of the band of text below a picture of ``size``."""
    return 2 * max(9, round(size[1] / 26))


def render_frames(clip: Clip, size: tuple[int, int], backend: str | None = None) -> Iterator[np.ndarray]:
    """Draw every frame of a clip.

    Args:
      clip: the episode.
      size: width and height of the picture, pixels; the band of text comes on top of the height.
      backend: "software", or an OpenGL backend of `choose_backend`, whose choice is taken for None.

    Yields:
      Pictures ``[height + band, width, 3]``, uint8.

    Raises:
      OSError: the OpenGL backend cannot be used.
    """
    scene = Scene(clip)
    renderer = _renderer(scene, size, choose_backend() if backend is None else backend)
    try:
        for frame, camera in enumerate(cameras(scene, size)):
            yield np.vstack([renderer.draw(frame, camera), _band(clip, frame, size)])
    finally:
        renderer.close()


def frame(env: Any, state: Any, width: int, height: int) -> np.ndarray:
    """The picture, without text, of an environment's (unbatched) state: ``[height, width, 3]``, uint8."""
    clip = Clip(
        model=env.scene(state),
        qpos=np.asarray(env.qpos(state))[None],
        goal=np.asarray(env.goal_position(state)),
        goal_radius=env.goal_radius,
        success=np.array([float(state.metrics["success"]) > 0]),
        caption="",
        view=env.view,
        dt=1.0,
    )
    return next(render_frames(clip, (width, height)))[:height]


def _renderer(scene: Scene, size: tuple[int, int], backend: str) -> Any:
    if backend == SOFTWARE:
        from .software import SoftwareRenderer

        return SoftwareRenderer(scene, size)
    from .gl import GLRenderer

    return GLRenderer(scene, size, backend)


def _band(clip: Clip, frame: int, size: tuple[int, int]) -> np.ndarray:
    """Caption on the left, step and time on the right, and a mark while the goal is reached."""
    width, height = size[0], band_height(size)
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    font, middle, gap = _font(height), height / 2, height / 3
    clock = f"step {frame}  {frame * clip.dt:.1f} s"
    left = width - gap - draw.textlength(clock, font)
    draw.text((left, middle), clock, _FAINT, font, anchor="lm")
    if clip.success[frame]:
        green = tuple(round(255 * part) for part in look.GOAL_REACHED)
        left -= 1.5 * gap + draw.textlength("at goal", font)
        draw.text((left, middle), "at goal", green, font, anchor="lm")
        left -= gap
        draw.ellipse((left - gap / 2, middle - gap / 2, left + gap / 2, middle + gap / 2), green)
    draw.text((gap, middle), _fit(clip.caption, left - 3 * gap, font), _INK, font, anchor="lm")
    return np.asarray(image)


@functools.cache
def _font(height: int) -> Any:
    return ImageFont.load_default(size=0.56 * height)


def _fit(text: str, width: float, font: Any) -> str:
    """``text`` on one line, cut to a width in pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…" if text else ""
