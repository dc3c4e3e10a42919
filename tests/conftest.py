"""Settings that every test, and every process a test starts, shares."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "jax"

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import envs  # noqa: E402 - after the settings above

envs.import_brax()  # here, where what MJX prints on import is kept from standing after pytest's closing line


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[object]:
    """A `browser.Browser` that the tests of this process share."""
    from .browser import Browser

    with Browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture(scope="session")
def fabricate() -> Callable[..., object]:
    """Writes a run folder without training: ``fabricate(path, success, **options)``; see ``fabricated.py``."""
    from .fabricated import fabricate

    return fabricate
