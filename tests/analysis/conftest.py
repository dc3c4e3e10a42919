"""Series with known answers."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def depths() -> np.ndarray:
    return 2 ** np.arange(2, 11)


@pytest.fixture(scope="session")
def noisy() -> Callable[..., np.ndarray]:
    """Seeds ``[D, S]`` around a curve ``[D]``."""

    def draw(curve: np.ndarray, seeds: int = 5, deviation: float = 0.08, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.asarray(curve)[:, None] + deviation * rng.standard_normal((len(curve), seeds))

    return draw


@pytest.fixture(scope="session")
def stepped() -> Callable[..., np.ndarray]:
    """A curve of nine depths with a step at the depth of an index."""
    return lambda height=0.6, place=4: 0.2 + height * (np.arange(9) >= place)
