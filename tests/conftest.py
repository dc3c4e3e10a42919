"""Settings that every test, and every process a test starts, shares."""

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "jax"
_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 40_000

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most programs of a test run for less time than it takes to optimise them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):  # one that does not know the option ends the process
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")  # half the time for physics

# A shell has its background jobs ignore ctrl-C, which they would hand on to the processes that tests interrupt.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)

import jax  # noqa: E402 - after the settings above

from rl_depth import envs  # noqa: E402

envs.import_brax()  # here, where what MJX prints on import is kept from standing after pytest's closing line


@pytest.fixture(autouse=True)
def _few_memory_maps() -> Iterator[None]:
    """Drops compiled programs before they exhaust the memory maps of a process (65,530 by default on Linux).

    Each program takes some; XLA aborts the process that has no more.
    """
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def _browser(tmp_path_factory) -> Iterator[object]:
    from .browser import Browser

    with Browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def browser(_browser) -> Iterator[object]:
    """A `browser.Browser` that the tests of this process share, without the pages of the tests before."""
    yield _browser
    _browser.close_pages()


@pytest.fixture(scope="session")
def fabricate() -> Callable[..., object]:
    """Writes a run folder without training: ``fabricate(path, success, **options)``; see ``fabricated.py``."""
    from .fabricated import fabricate

    return fabricate
