"""What this process runs on, and the compilation cache it shares with the next one."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_depth import envs

from .config import ConfigError, RunError

if TYPE_CHECKING:
    from rl_depth.envs.base import GoalEnv

_NVIDIA = Path("/proc/driver/nvidia/gpus")
_CGROUP_LIMITS = [Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory/memory.limit_in_bytes")]

_PACKAGES = ("rl-depth", "jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "numpy")


def start() -> None:
    """Load JAX and Brax, and keep compiled programs.

    Raises:
      ConfigError: JAX was told to compute in float64, or MuJoCo cannot draw the way that ``MUJOCO_GL`` asks for; it
        tries when it is loaded.
    """
    spread_cores()
    if _settings().jax_enable_x64:
        raise ConfigError("JAX_ENABLE_X64 is set: rl_depth computes in float32 and counts in int32; unset it")
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


def spread_cores() -> None:
    """Make a device of JAX of every core that this process may use, for seeds of one program to run side by side.

    Does nothing where ``JAX_NUM_CPU_DEVICES`` or ``XLA_FLAGS`` say how many, and once JAX has looked for its devices.
    """
    import jax

    told = "JAX_NUM_CPU_DEVICES" in os.environ or "xla_force_host_platform_device_count" in os.environ.get(
        "XLA_FLAGS", ""
    )
    if not told:
        with contextlib.suppress(RuntimeError):  # devices are known already
            jax.config.update("jax_num_cpu_devices", usable_cores())


def _settings() -> Any:
    """JAX's settings, which are declared only as it is loaded."""
    import jax

    return jax.config


def keep_programs() -> None:
    """Load JAX, and keep compiled programs in the user's cache folder unless JAX was told of another."""
    import jax

    if _settings().jax_compilation_cache_dir is not None:
        return
    folder = _cache_folder()
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Small programs too: a run compiles many, and together they take seconds.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@cache
def _cache_folder() -> Path | None:
    """Where compiled programs are kept; None, said once, where there is no such place."""
    try:
        base = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
        if not base.is_absolute() or base == Path("/.cache"):  # HOME is empty
            raise OSError(errno.ENOENT, "no home folder")
        folder = base / "rl_depth" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, f"{folder} cannot be written")
    except (OSError, RuntimeError) as error:  # no such user, or no right to write there
        reason = getattr(error, "strerror", None) or str(error)
        print(f"rl-depth: compiled programs are not kept ({reason}); XDG_CACHE_HOME names a place", file=sys.stderr)
        return None
    return folder


def check() -> None:
    """Let JAX look for its devices; not before `hosts.join`. Warns once of a GPU that it does not use.

    Raises:
      ConfigError: it finds none of those that it was told to use.
    """
    import jax

    try:
        platform = jax.default_backend()
    except (RuntimeError, AssertionError) as error:
        wish = _settings().jax_platforms or "any"
        reason = " ".join(str(error).split())[:200] or "no such device"
        raise ConfigError(f"JAX_PLATFORMS={wish}: JAX finds no such device here ({reason}); unset it") from None
    if platform == "cpu" and not _settings().jax_platforms and (cards := _nvidia_cards()):
        _warn_once(f"{cards} NVIDIA card(s) here, but JAX uses the CPU; install rl-depth[cuda] to train on them")


@cache
def _warn_once(text: str) -> None:
    print(f"rl-depth: warning: {text}", file=sys.stderr)


def _nvidia_cards() -> int:
    """Cards that the driver knows and this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return 0
    try:
        return len(list(_NVIDIA.iterdir()))
    except OSError:
        return 0


def summary() -> str:
    """``cpu, 2 cores`` or ``2 x NVIDIA H100 80GB HBM3``."""
    import jax

    first, count = jax.devices()[0], jax.device_count()
    if first.platform == "cpu":
        return f"cpu, {usable_cores()} cores"
    return f"{f'{count} x ' if count > 1 else ''}{first.device_kind}"


def usable_cores() -> int:
    """Cores that this process may use: Slurm and taskset give fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


class OutOfMemory(RunError):  # noqa: N818 - as XLA has it
    """Arrays did not fit."""


@contextlib.contextmanager
def memory_told() -> Generator[None]:
    """Turns XLA's and NumPy's reports of too little memory into one line.

    Raises:
      OutOfMemory: there was too little.
    """
    import jax

    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(f"out of memory: {_first_line(error) or 'this machine has no more'}") from None
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemory(f"out of memory: {_first_line(error)}; fewer or smaller arrays fit") from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0].removeprefix("RESOURCE_EXHAUSTED: ")[:200].rstrip(". ")


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
        "host": {
            "name": platform.node(),
            "cpu_cores": os.cpu_count(),
            "cpu_cores_usable": usable_cores(),
            "machine": platform.machine(),
            "system": platform.system(),
        },
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
