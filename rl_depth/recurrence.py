"""Applying a block again and again: loops of static and of dynamic length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import lax

Latent = TypeVar("Latent")


def iterate(step: Callable[[Latent], Latent], h: Latent, count: int | jax.Array) -> Latent:
    """``step`` applied ``count`` times to ``h``.

    A Python integer gives a loop that gradients flow through; a traced count gives a forward-only loop, so
    that one compiled program serves every count.
    """
    if isinstance(count, int):
        return lax.scan(lambda carry, _: (step(carry), None), h, None, length=count)[0]
    return lax.fori_loop(0, count, lambda _, carry: step(carry), h)
