"""Frames put side by side, and written as video files."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

_GAP = 4  # pixels between pictures
_BACKGROUND = 252

_PALETTE = "split[a][b];[a]palettegen=max_colors=128[p];[b][p]paletteuse=dither=none:diff_mode=rectangle"
_CODING = {
    ".mp4": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
    # Browsers slow down what is faster than 50 frames per second.
    ".gif": ["-filter_complex", f"fps='min(50,source_fps)',{_PALETTE}", "-loop", "0"],
}
"""What ffmpeg is told for each ending; of one palette for all frames, so that colours do not flicker."""


def compose(episodes: Sequence[Iterable[np.ndarray]], columns: int | None = None) -> Iterator[np.ndarray]:
    """Several episodes at once, side by side; one that ends earlier holds its last frame.

    Args:
      episodes: frames ``[height, width, 3]`` (uint8) of each, all of one size.
      columns: episodes in a row; about as many as rows if None.

    Yields:
      Frames of the whole, uint8.

    Raises:
      ValueError: an episode has no frames, or frames differ in size.
    """
    if not episodes:
        raise ValueError("no episodes to compose")
    columns = columns or (len(episodes) if len(episodes) <= 3 else math.ceil(math.sqrt(len(episodes))))
    running: list[Iterator[np.ndarray] | None] = [iter(frames) for frames in episodes]
    held: list[np.ndarray | None] = [None] * len(running)
    while True:
        for place, frames in enumerate(running):
            following = next(frames, None) if frames is not None else None
            if following is None:
                running[place] = None
            else:
                held[place] = following
        if not any(running):
            if any(picture is None for picture in held):
                raise ValueError("an episode has no frames")
            return
        yield _grid(held, columns)


def _grid(pictures: Sequence[np.ndarray | None], columns: int) -> np.ndarray:
    full = [picture for picture in pictures if picture is not None]
    if len(full) < len(pictures) or len({picture.shape for picture in full}) != 1:
        raise ValueError("episodes have no frames or differ in size")
    if len(full) == 1:
        return full[0]
    height, width, _ = full[0].shape
    rows = math.ceil(len(pictures) / columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    whole = np.full(shape, _BACKGROUND, np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        top, left = row * (height + _GAP), column * (width + _GAP)
        whole[top : top + height, left : left + width] = picture
    return whole


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write one file; see `write_videos`."""
    write_videos([path], frames, fps)


def write_videos(paths: Sequence[Path], frames: Iterable[np.ndarray], fps: float) -> None:
    """Write the same frames to several files, drawing each frame once.

    Every file appears whole or not at all.

    Args:
      paths: targets that end in ``.mp4`` (H.264, plays in browsers) or ``.gif``.
      frames: ``[height, width, 3]``, uint8.
      fps: frames per second; a gif shows at most 50.

    Raises:
      ValueError: no frames, or another ending.
      OSError: a file cannot be written.
    """
    for path in paths:
        if path.suffix not in _CODING:
            raise ValueError(f"{path}: expected a name ending in {' or '.join(_CODING)}")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("no frames to write")
    with contextlib.ExitStack() as stack:
        writers = []
        for path in paths:
            partial = stack.enter_context(replacing(path))
            writers.append(stack.enter_context(_encoder(partial, first.shape, fps)))
        for write in writers:
            write(first)
        for frame in frames:
            for write in writers:
                write(frame)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` if the block succeeds, and goes if not."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _encoder(path: Path, shape: tuple[int, ...], fps: float) -> Generator[Callable[[np.ndarray], None]]:
    """A function that takes frames ``[height, width, 3]``; the file is complete when the block ends."""
    import imageio_ffmpeg

    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2  # halved colour needs even sides
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *source.split(), *_CODING[path.suffix]]
    # The log goes through a pipe that is read only at the end: at this level it is a few lines.
    try:
        process = subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise OSError(error.errno, f"ffmpeg, {command[0]}, cannot be started: {error.strerror}") from None
    feed = process.stdin
    assert feed is not None  # a pipe was asked for

    def write(frame: np.ndarray) -> None:
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ValueError(f"frame of shape {frame.shape}, {frame.dtype}; expected {shape}, uint8")
        padded = np.pad(frame, ((0, height - shape[0]), (0, width - shape[1]), (0, 0)), mode="edge")
        with contextlib.suppress(BrokenPipeError):  # it ended early; its exit code and log say why
            feed.write(padded.tobytes())

    try:
        yield write
        _, log = process.communicate()
        if process.returncode:
            raise _failure(process.returncode, log.decode(errors="replace"))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _failure(code: int, log: str) -> OSError:
    """What ffmpeg failed of: its exit code is a system error, negative and cut to a byte, or else see its log."""
    if 256 - code in errno.errorcode:
        return OSError(256 - code, os.strerror(256 - code))
    lines = log.strip().splitlines()
    return OSError(lines[-1] if lines else f"ffmpeg ended with code {code}")
