"""Pictures of episodes: videos, side by side or alone, and an interactive page.

The input is plain data, a `Clip` per episode; the room knows nothing of agents or training.

    backend = choose_backend()
    frames = compose([render_frames(clip, (480, 360), backend) for clip in clips])
    write_videos([Path("rollout.mp4"), Path("rollout.gif")], frames, fps=20)
    write_viewer(Path("rollout.html"), clips)

Importing this package loads neither MuJoCo nor OpenGL.
"""

from __future__ import annotations

from .backends import backend_report, choose_backend
from .clip import Clip
from .frames import frame, render_frames
from .video import compose, write_video, write_videos
from .viewer import write_viewer

__all__ = [
    "Clip",
    "backend_report",
    "choose_backend",
    "compose",
    "frame",
    "render_frames",
    "write_video",
    "write_videos",
    "write_viewer",
]
