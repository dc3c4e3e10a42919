"""One episode to show, as plain data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mujoco

VIEWS = ("top", "follow")


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """One episode to show.

    Attributes:
      model: the scene; constant over the episode.
      qpos: joint positions of the model in every frame, ``[T, nq]``.
      goal: world position of the goal marker (m), ``[3]``, or ``[T, 3]`` if the goal moves.
      goal_radius: radius of the marker, m.
      success: whether the goal is reached in the frame, ``[T]``.
      caption: what is shown, such as "stacked, depth 16".
      view: "top" to be drawn from above, "follow" for a camera that follows the robot.
      dt: seconds from one frame to the next.
    """

    model: mujoco.MjModel
    qpos: np.ndarray
    goal: np.ndarray
    goal_radius: float
    success: np.ndarray
    caption: str
    view: str
    dt: float

    def __post_init__(self) -> None:
        """Convert the arrays and check that they fit together.

        Raises:
          ValueError: naming the field that does not fit.
        """
        qpos = np.asarray(self.qpos, np.float64)
        if qpos.ndim != 2 or len(qpos) == 0 or qpos.shape[1] != self.model.nq:
            raise ValueError(f"qpos: shape {qpos.shape}, expected [frames > 0, {self.model.nq}]")
        goal = np.asarray(self.goal, np.float64)
        if goal.shape not in ((3,), (len(qpos), 3)):
            raise ValueError(f"goal: shape {goal.shape}, expected (3,) or ({len(qpos)}, 3)")
        success = np.asarray(self.success).astype(bool)
        if success.shape != (len(qpos),):
            raise ValueError(f"success: shape {success.shape}, expected ({len(qpos)},)")
        for name, values in (("qpos", qpos), ("goal", goal)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: holds numbers that are not finite")
        if self.view not in VIEWS:
            raise ValueError(f"view: {self.view!r}, expected one of {', '.join(VIEWS)}")
        for name in ("goal_radius", "dt"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: {getattr(self, name)}, expected a positive number")
        object.__setattr__(self, "qpos", qpos)
        object.__setattr__(self, "goal", np.broadcast_to(goal, (len(qpos), 3)))
        object.__setattr__(self, "success", success)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.qpos)
