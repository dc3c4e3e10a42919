"""Agents side by side: what none of them needs is skipped for all.

An accelerator takes the seeds of a run as one more axis of every array. There `lax.cond` with a predicate for each seed
would compute both branches and choose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

AXIS = "agents"  # the name of the axis that agents side by side are mapped over


def when(wanted: jax.Array, do: Callable[[Any], Any], x: Any) -> Any:
    """``do(x)`` if ``wanted []``, else ``x``; computed only if some agent beside this one wants it."""
    if not _side_by_side():
        return lax.cond(wanted, do, lambda x: x, x)

    def chosen(x: Any) -> Any:
        return jax.tree.map(lambda new, old: jnp.where(wanted, new, old), do(x), x)

    return lax.cond(_any(wanted), chosen, lambda x: x, x)


def one_of(which: jax.Array, ways: tuple[Callable[[Any], Any], ...], x: Any) -> Any:
    """``ways[which](x)`` of the same shapes, or ``x`` beyond the last; computed are those that some agent wants."""
    if not _side_by_side():
        return lax.switch(which, (*ways, lambda x: x), x)
    for number, way in enumerate(ways):  # each agent is changed by one of them at most
        x = when(which == number, way, x)
    return x


def _any(wanted: jax.Array) -> jax.Array:
    return lax.pmax(wanted.astype(jnp.int32), AXIS) > 0


def _side_by_side() -> bool:
    try:
        lax.axis_size(AXIS)
    except NameError:  # no such axis around this
        return False
    return True
