"""What this process runs on, and the compilation cache it shares with the next one."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_depth import envs

from .config import ConfigError

if TYPE_CHECKING:
    from rl_depth.envs.base import GoalEnv

_CGROUP_LIMITS = [Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory/memory.limit_in_bytes")]

_PACKAGES = ("rl-depth", "jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "numpy")


def start() -> None:
    """Load JAX and Brax, and keep compiled programs.

    Raises:
      ConfigError: MuJoCo cannot draw the way that ``MUJOCO_GL`` asks for; it tries when it is loaded.
    """
    try:
        envs.import_brax()
    except (RuntimeError, ImportError, AttributeError):
        if "MUJOCO_GL" not in os.environ:
            raise
        wish = os.environ["MUJOCO_GL"]
        others = [one for one in ("egl", "osmesa", "off") if one != wish]
        raise ConfigError(
            f"MUJOCO_GL={wish}: MuJoCo cannot use it here; unset it, or try {' or '.join(others)}"
        ) from None
    keep_programs()


def keep_programs() -> None:
    """Load JAX, and keep compiled programs in the user's cache folder unless JAX was told of another."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(base / "rl_depth" / "jax"))
        # Small programs too: a run compiles many, and together they take seconds.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def memory_bytes(parts: int) -> int | None:
    """Memory that arrays may lie in: this machine's, or of ``parts`` accelerators; None if unknown."""
    import jax

    first = jax.local_devices()[0]
    if first.platform != "cpu":
        limit = (first.memory_stats() or {}).get("bytes_limit")
        return limit * parts if limit else None
    found = [_host_bytes(), *(_number(file) for file in _CGROUP_LIMITS)]
    return min((size for size in found if size is not None), default=None)


def _host_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


# XLA's option for the passes of LLVM; 2 and above are its default.
_LLVM_LEVEL = "xla_backend_optimization_level"


def learning_options() -> dict[str, Any]:
    """XLA's options for programs of gradient steps, where its defaults are not the fastest; see docs/results.

    On a CPU: vectors of 512 bits if the processor has them, where XLA prefers 256, for steps that are 5% faster; and
    fewer of LLVM's passes, which compiles a fifth faster and leaves these programs as fast as they are.
    """
    return _if_known(("xla_cpu_prefer_vector_width", 512), (_LLVM_LEVEL, 1))


def physics_options(env: GoalEnv) -> dict[str, Any]:
    """The same for programs that reset or step an environment.

    MJX on a CPU: fewer of LLVM's passes. XLA computes each link of a chain of bodies anew for every later one, and
    what more passes make of that runs several times slower; the other backends gain from them.
    """
    return _if_known((_LLVM_LEVEL, 1)) if getattr(env, "backend", None) == "mjx" else {}


@cache
def _if_known(*options: tuple[str, Any]) -> dict[str, Any]:
    """``options`` on a CPU whose XLA knows them, else none."""
    import jax

    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=dict(options)).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return dict(options)


def describe() -> dict[str, Any]:
    """Versions, device and git state of this process, for a run's ``meta.json``."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "processes": jax.process_count(),
        "host": {"cpu_cores": os.cpu_count(), "machine": platform.machine(), "system": platform.system()},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Commit of this package's checkout and whether it differs from it; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
