"""Which way of drawing works on this machine: OpenGL through EGL or OSMesa, or our own ray caster."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

SOFTWARE = "software"

_TITLES = {"egl": "EGL", "osmesa": "OSMesa", "glfw": "GLFW", "cgl": "CGL", SOFTWARE: "software ray caster"}
_OFF = ("0", "off", "false", "disable", "disabled")
_ON = ("", "1", "on", "true", "enable", "enabled")
_TIMEOUT = 30.0  # s; a driver that hangs is one that does not work

# A driver can abort the process that loads it, so each is tried in a process of its own. Success is a
# picture that shows something.
_PROBE = """
import importlib, sys
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom size=".5" rgba="1 1 1 1"/></worldbody></mujoco>')
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(32, 32)
context.make_current()
import numpy as np
data, camera, image = mujoco.MjData(model), mujoco.MjvCamera(), np.zeros((32, 32, 3), np.uint8)
mujoco.mj_forward(model, data)
mujoco.mjv_defaultFreeCamera(model, camera)
scene, drawing = mujoco.MjvScene(model, 10), mujoco.MjrContext(model, 100)
mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, drawing)
mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL.value, scene)
mujoco.mjr_render(mujoco.MjrRect(0, 0, 32, 32), scene, drawing)
mujoco.mjr_readPixels(image, None, mujoco.MjrRect(0, 0, 32, 32), drawing)
print("drawn" if image.max() > 64 else "blank", flush=True)
import os
os._exit(0)  # some drivers crash while they unload
"""


def choose_backend() -> str:
    """The way of drawing that works here: "egl", "osmesa" or "software".

    EGL is tried first, then OSMesa; the answer is kept for the rest of the process. A user's own
    ``MUJOCO_GL`` is tried alone (it may also say "glfw" or "cgl"), and switches OpenGL off if it says so.

    Raises:
      ValueError: ``MUJOCO_GL`` holds a word that is not known.
    """
    return _choose(os.environ.get("MUJOCO_GL", "").strip().lower())[0]


def backend_report() -> str:
    """One line for the user: which way of drawing was chosen, and why none before it."""
    name, failures = _choose(os.environ.get("MUJOCO_GL", "").strip().lower())
    reasons = "; ".join(f"{_TITLES[failed]}: {reason}" for failed, reason in failures)
    return f"{_TITLES[name]} ({reasons})" if reasons else _TITLES[name]


@functools.cache
def _choose(wish: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The chosen backend, and the reason of each that failed before it."""
    failures = []
    for name in _candidates(wish):
        reason = _probe(name)
        if not reason:
            return name, tuple(failures)
        failures.append((name, reason))
    return SOFTWARE, tuple(failures)


def _candidates(wish: str) -> tuple[str, ...]:
    if wish in _OFF:
        return ()
    if wish in ("egl", "osmesa", "glfw", "cgl"):
        return (wish,)
    if wish in _ON:
        return ("cgl",) if sys.platform == "darwin" else ("egl", "osmesa")
    raise ValueError(f"MUJOCO_GL={wish!r}: expected egl, osmesa, glfw, cgl or off")


def _probe(name: str) -> str:
    """Why a backend does not work here; empty if it does."""
    environment = {**os.environ, "MUJOCO_GL": name}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, name],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_TIMEOUT:.0f} s"
    except OSError as error:
        return str(error)
    if done.stdout.strip() == "drawn":
        return ""
    if done.stdout.strip() == "blank":
        return "draws nothing"
    lines = done.stderr.strip().splitlines()
    return lines[-1].strip()[:160] if lines else f"exit code {done.returncode}"
