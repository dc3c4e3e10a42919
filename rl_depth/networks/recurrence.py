"""How often a block is applied: drawing the count, loops of dynamic length, truncated gradients, halting.

Axes: ``...`` batch, ``W`` width. A count is a number of block applications, ``r``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from ..config import TrainRecurrence
from .together import when

# (latent [..., W], index of the application, their number) -> latent [..., W]
Step = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Draw(flax.struct.PyTreeNode):
    """What one gradient step trains with."""

    count: jax.Array  # int32: applications
    graded: jax.Array  # int32: how many of the last ones carry gradients


def draw_count(law: TrainRecurrence, key: jax.Array, progress: jax.Array) -> jax.Array:
    """A recurrence count, int32; ``progress`` in [0, 1] is the share of training that is done."""
    if law.kind == "curriculum":
        return jnp.round(law.low + (law.high - law.low) * progress).astype(jnp.int32)
    if law.kind == "lognormal-poisson" and law.mean > 1:
        rate_key, count_key = jax.random.split(key)
        log_rate = jnp.log(law.mean - 1) - law.sigma**2 / 2 + law.sigma * jax.random.normal(rate_key)
        return jnp.minimum(1 + jax.random.poisson(count_key, jnp.exp(log_rate)), law.high).astype(jnp.int32)
    if law.kind == "uniform":
        return jax.random.randint(key, (), law.low, law.high + 1)
    return jnp.int32(law.low)


def draw(law: TrainRecurrence, window: int, progressive: float, key: jax.Array, progress: jax.Array) -> Draw:
    """What to train with in one gradient step.

    With probability ``progressive`` the step follows the progressive loss of Bansal et al. (2022, arXiv
    2202.05826): of ``r`` applications a random first part only prepares the start of a random number of graded
    ones, so that the block learns to improve on any earlier latent. They add both losses with weights; to take
    one of the two at random has the same expectation at half the cost.

    Args:
      law: distribution of the count.
      window: most applications that carry gradients.
      progressive: share of progressive steps.
      key: random key.
      progress: share of training that is done.
    """
    count_key, which_key, first_key, rest_key = jax.random.split(key, 4)
    count = draw_count(law, count_key, progress)
    prepared = jax.random.randint(first_key, (), 0, count)
    graded = jax.random.randint(rest_key, (), 1, count - prepared + 1)
    partial = jax.random.bernoulli(which_key, progressive)
    graded = jnp.where(partial, graded, count)
    return Draw(count=jnp.where(partial, prepared + graded, count), graded=jnp.minimum(graded, window))


def scan_blocks(body: Callable[[jax.Array, Any], jax.Array], h: jax.Array, turns: Any, remat: bool) -> jax.Array:
    """``h <- body(h, turn)`` for each entry of the leading axis of ``turns``, differentiable.

    With ``remat`` the backward pass keeps the latents between groups of turns and works each group out anew: of ``N``
    turns it holds ``N / g`` latents and the activations of ``g`` turns at a time (Chen et al. 2016, arXiv
    1604.06174) for one more forward pass.
    """

    def run(latent: jax.Array, part: Any) -> jax.Array:
        return lax.scan(lambda carry, turn: (body(carry, turn), None), latent, part)[0]

    if not remat:
        return run(h, turns)
    count = jax.tree.leaves(turns)[0].shape[0]
    group = group_size(count)
    groups = jax.tree.map(lambda leaf: leaf.reshape(count // group, group, *leaf.shape[1:]), turns)
    again = jax.checkpoint(run, prevent_cse=False)
    return lax.scan(lambda carry, part: (again(carry, part), None), h, groups)[0]


def group_size(count: int) -> int:
    """Turns that `scan_blocks` puts into a group: the divisor of ``count`` nearest to half its root.

    A turn holds about four times as much as a latent.
    """
    wanted = max(math.sqrt(count) / 2, 1)
    return min((g for g in range(1, count + 1) if count % g == 0), key=lambda g: abs(math.log(g / wanted)))


def iterate(step: Step, h: jax.Array, count: int, window: int | None, remat: bool = False) -> jax.Array:
    """``step`` applied ``count`` times, with gradients through the last ``window`` of them, all if None."""
    total = jnp.int32(count)

    free = 0 if window is None else max(count - window, 0)
    if free:
        h = frozen_loop(step, h, jnp.int32(0), jnp.int32(free), total)
    return scan_blocks(lambda latent, i: step(latent, i, total), h, jnp.arange(free, count), remat)


def iterate_forward(step: Step, h: jax.Array, count: jax.Array) -> jax.Array:
    """``step`` applied a traced number of times, forward only: one compiled program serves every count."""
    return lax.fori_loop(0, count, lambda i, latent: step(latent, i, count), h)


def iterate_drawn(step: Step, h: jax.Array, draw: Draw, window: int, remat: bool = False) -> jax.Array:
    """``step`` applied ``draw.count`` times, with gradients through the last ``draw.graded <= window``.

    The applications before run forward in a loop of dynamic length, then comes a scan of static length
    ``window`` whose first turns are skipped if fewer carry gradients: one program for every draw.

    Args:
      step: one application. Its parameters are frozen in the forward loop by ``stop_gradient`` on its result.
      h: initial latent ``[..., W]``; gradients reach it only if every application carries them.
      draw: the counts.
      window: static bound of ``draw.graded``.
      remat: as in `scan_blocks`.
    """
    free = draw.count - draw.graded
    ready = frozen_loop(step, h, jnp.int32(0), free, draw.count)
    h = jnp.where(free > 0, ready, h)

    def body(latent: jax.Array, turn: jax.Array) -> jax.Array:
        i = draw.count - window + turn
        return when(i >= free, lambda x: step(x, i, draw.count), latent)

    return scan_blocks(body, h, jnp.arange(window), remat)


def frozen_loop(step: Step, h: jax.Array, first: jax.Array, last: jax.Array, count: jax.Array) -> jax.Array:
    """Applications ``first`` to ``last - 1`` of ``count``, without gradients.

    A loop of dynamic length cannot be differentiated, so its inputs, those that ``step`` closes over included, enter it
    through ``stop_gradient``.
    """
    closed, consts = jax.closure_convert(step, h, jnp.int32(0), count)
    consts = [lax.stop_gradient(const) for const in consts]
    return lax.fori_loop(first, last, lambda i, latent: closed(latent, i, count, *consts), lax.stop_gradient(h))


class Halting(flax.struct.PyTreeNode):
    """A batch in mid-computation."""

    latent: jax.Array  # [B, W]
    step: jax.Array  # [B, W]: the last change of the latent
    outputs: Any  # leaves [B, ...]: what the network says of the latent
    hits: jax.Array  # [B] int32: times in a row that the rule's measure was below eps
    count: jax.Array  # [B] int32: applications so far
    halted: jax.Array  # [B] bool


# (before an application, after it) -> [B], which a rule compares with its eps
Measure = Callable[[Halting, Halting], jax.Array]


def latent_change(before: Halting, after: Halting) -> jax.Array:
    """``||h' - h|| / ||h||``: ``[B]``."""
    return _length(after.step) / (_length(before.latent) + _TINY)


def step_change(before: Halting, after: Halting) -> jax.Array:
    """``||(h'' - h') - (h' - h)|| / ||h'||``: ``[B]``; infinite after the first application."""
    return _length(after.step - before.step) / (_length(before.latent) + _TINY)


def _length(vectors: jax.Array) -> jax.Array:
    return jnp.linalg.norm(vectors, axis=-1)


_TINY = 1e-12


def iterate_until(
    step: Callable[[jax.Array, jax.Array], jax.Array],
    head: Callable[[jax.Array], Any],
    measure: Measure,
    h: jax.Array,
    *,
    eps: float,
    patience: int,
    most: jax.Array | int,
) -> Halting:
    """Apply ``step`` until each sample's measure falls below ``eps``; a halted sample stays as it is.

    Args:
      step: ``(latent [B, W], index) -> [B, W]``.
      head: from a latent ``[B, W]`` to what the network says of it, leaves ``[B, ...]``.
      measure: ``(before, after) -> [B]``, compared with ``eps``.
      h: initial latent ``[B, W]``.
      eps: bound.
      patience: how many times in a row the measure must lie below it.
      most: applications after which everything stops.
    """
    batch = h.shape[0]
    state = Halting(
        latent=h,
        step=jnp.full_like(h, jnp.inf),
        outputs=head(h),
        hits=jnp.zeros(batch, jnp.int32),
        count=jnp.zeros(batch, jnp.int32),
        halted=jnp.zeros(batch, bool),
    )

    def advance(carry: tuple[jax.Array, Halting]) -> tuple[jax.Array, Halting]:
        i, old = carry
        latent = step(old.latent, i)
        new = old.replace(latent=latent, step=latent - old.latent, outputs=head(latent), count=old.count + 1)
        hits = jnp.where(measure(old, new) < eps, old.hits + 1, 0)
        new = new.replace(hits=hits, halted=hits >= patience)

        def keep(a: Any, b: Any) -> jax.Array:
            return jnp.where(old.halted.reshape((batch,) + (1,) * (a.ndim - 1)), a, b)

        return i + 1, jax.tree.map(keep, old, new)

    def running(carry: tuple[jax.Array, Halting]) -> jax.Array:
        return (carry[0] < most) & ~jnp.all(carry[1].halted)

    return lax.while_loop(running, advance, (jnp.int32(0), state))[1]
