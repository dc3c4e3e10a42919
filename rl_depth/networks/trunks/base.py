"""What every kind of trunk shares: whatever can be written over ``start``, ``step`` and ``read``.

Axes: ``...`` batch, ``W`` width, ``Z`` latent (``W``, or more where a kind carries more), ``N`` applications.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from ...config import TrunkConfig
from .. import transition
from ..block import Params
from ..recurrence import Draw, Step, frozen_loop, iterate, iterate_drawn, iterate_forward, scan_blocks
from ..together import one_of, when

# (the input layer's output [..., W], latent [..., Z], index of the application) -> input of the application [..., W]
Feed = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

# (latent [..., W]) -> noise after the application that left it
Posterior = Callable[[jax.Array], transition.Gaussian]

# Folded into a trunk's key before the index of an application, for the key itself draws the initial latent.
_STEPS = 1
_NOISE = 1  # folded into an application's key, for its noise


@dataclass(frozen=True)
class Application:
    """What one application of a kind of trunk costs.

    Attributes:
      parameters: of its weights.
      flops: operations of its matrix products per sample, two per multiply-add.
      graded: those of them that gradients flow through, if they do through this application.
      latent: entries of the latent ``Z``.
      kept: entries per sample that the backward pass keeps of its inside, in the precision of matrix products.
      serial: matrix products in sequence.
    """

    parameters: int
    flops: int
    graded: int
    latent: int
    kept: int
    serial: int


class Trunk(nn.Module):
    """Applications of a block in sequence. Depth counts dense layers: ``applications * turn_layers``.

    A kind says what one application is (`declare`, `advance`), what its latent begins as and what the head reads
    (`start`, `read`), and what it costs (`application`). Weights of a ``stacked`` kind carry a leading axis ``N`` and
    are scanned over, so that neither tracing nor compiling grows with depth; any other kind applies one set of weights
    any number of times.
    """

    config: TrunkConfig

    stacked: ClassVar[bool] = False

    def setup(self) -> None:
        """Declare the weights."""
        self._weights = self.declare()
        if self.config.latent == "learned":
            self._learned = self.param("start", nn.initializers.normal(1.0), (self._latent_size,))
        if self.config.noise == "learned":  # zero at first, and no "kernel", for those are drawn
            w = self.config.width
            self._noise_weights = self.param("noise_weights", nn.initializers.zeros, (w, 2 * w))
            self._noise_bias = self.param("noise_bias", nn.initializers.zeros, (2 * w,))

    @property
    def _latent_size(self) -> int:
        return self.application(self.config).latent

    def declare(self) -> Params:
        """The weights: of one application, or of all with a leading axis ``N``."""
        raise NotImplementedError

    def advance(
        self, weights: Params, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """One application with given weights: ``h [..., Z]``, ``x [..., W]`` ``-> [..., Z]``; see `step`."""
        raise NotImplementedError

    @staticmethod
    def application(config: TrunkConfig) -> Application:
        """What one application costs."""
        raise NotImplementedError

    def start(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """The initial latent ``[..., Z]``: the input (for each level), zero, a learned vector, or Gaussian noise.

        Without a key the noise is one fixed vector, so that acting is a function and a sample's result does not
        depend on its batch.
        """
        kind, size = self.config.latent, self._latent_size
        shape = (*x.shape[:-1], size)
        if kind == "zero":
            return jnp.zeros(shape, x.dtype)
        if kind == "learned":
            return jnp.broadcast_to(self._learned, shape)
        if kind == "gaussian":
            if key is None:
                return jnp.broadcast_to(jax.random.normal(jax.random.key(0), (size,)), shape)
            return jax.random.normal(key, shape)
        return jnp.concatenate([x] * (size // x.shape[-1]), axis=-1)

    def read(self, h: jax.Array) -> jax.Array:
        """What the head reads of a latent: ``[..., Z] -> [..., W]``."""
        return h

    def step(
        self, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array, key: jax.Array | None = None
    ) -> jax.Array:
        """The ``i``-th of ``count`` applications.

        Args:
          h: latent ``[..., Z]``.
          x: the input layer's output ``[..., W]``.
          i: index, int32.
          count: their number, int32.
          key: for what is random in this application; None for what it does without.
        """
        weights = self._weights
        if self.stacked:
            weights = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), weights)
        return self._transit(self.advance(weights, h, x, i, count, key), key)

    def __call__(
        self,
        x: jax.Array,
        depth: jax.Array | Draw | None = None,
        key: jax.Array | None = None,
        feed: Feed | None = None,
    ) -> jax.Array:
        """Run the trunk.

        Args:
          x: ``[..., W]``, the input layer's output.
          depth: None for the trunk's own depth; traced dense layers to act with, forward only, a multiple of
            ``turn_layers``; or what a gradient step trains with. A stacked trunk runs its first blocks, all
            at most; any other kind any number.
          key: draws the initial latent where it is Gaussian, and whatever is random in an application, each with
            ``fold_in(fold_in(key, 1), i)``.
          feed: makes the input of each application; ``x`` itself if None.

        Returns:
          ``[..., W]``.
        """
        c = self.config
        h = self.start(x, key)
        steps = None if key is None else jax.random.fold_in(key, _STEPS)
        if self.stacked:
            return self.read(self._stack(h, x, depth, steps, feed))
        step = partial(self._turn, self._weights, x, steps, feed)
        if depth is None:
            return self.read(iterate(step, h, c.applications, c.window, c.remat))
        if isinstance(depth, Draw):
            return self.read(iterate_drawn(step, h, depth, self._window, c.remat))
        return self.read(iterate_forward(step, h, depth // c.turn_layers))

    def trace(self, x: jax.Array, segments: int, key: jax.Array | None = None, feed: Feed | None = None) -> jax.Array:
        """Run the trunk in segments of equally many applications, each from the stopped latent of the one before.

        Args:
          x: as in `__call__`, and so are ``key`` and ``feed``.
          segments: their number ``S``, a divisor of the applications'.

        Returns:
          What the head reads at the end of each, ``[S, ..., W]``.
        """
        c, total = self.config, jnp.int32(self.config.applications)
        each = c.applications // segments
        steps = None if key is None else jax.random.fold_in(key, _STEPS)

        def segment(h: jax.Array, part: tuple[jax.Array, Params | None]) -> tuple[jax.Array, jax.Array]:
            s, own = part
            h = jnp.where(s > 0, lax.stop_gradient(h), h)
            if own is None:
                step = partial(self._turn, self._weights, x, steps, feed)
                h = iterate(lambda latent, i, _: step(latent, s * each + i, total), h, each, c.window, c.remat)
            else:

                def body(latent: jax.Array, block: tuple[Params, jax.Array]) -> jax.Array:
                    weights, i = block
                    return self._turn(weights, x, steps, feed, latent, s * each + i, total)

                h = scan_blocks(body, h, (own, jnp.arange(each)), c.remat)
            return h, self.read(h)

        weights = None
        if self.stacked:
            weights = jax.tree.map(lambda leaf: leaf.reshape(segments, each, *leaf.shape[1:]), self._weights)
        return lax.scan(segment, self.start(x, key), (jnp.arange(segments), weights))[1]

    def segment(
        self,
        x: jax.Array,
        draw: Draw,
        key: jax.Array | None = None,
        feed: Feed | None = None,
        further: bool = False,
        most: int | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Run the trunk to the end of a drawn segment, and on to its full depth if asked to.

        Args:
          x: as in `__call__`, and so are ``key`` and ``feed``.
          draw: where it ends, and how many of the last applications carry gradients, in a stacked trunk too.
          further: go on, without gradients.
          most: bound of ``draw.graded``; the trunk's own if None.

        Returns:
          What the head reads there, ``[..., W]``; and what it reads at the full depth, None unless ``further``.
        """
        total = jnp.int32(self.config.applications)
        steps = None if key is None else jax.random.fold_in(key, _STEPS)
        step = self._any_step(x, steps, feed)
        if self.stacked:
            h = self._stack_segment(self.start(x, key), x, draw, steps, feed)
        else:
            h = iterate_drawn(step, self.start(x, key), draw, most or self._window, self.config.remat)
        if not further:
            return self.read(h), None
        return self.read(h), self.read(frozen_loop(step, h, draw.count, total, total))

    @property
    def _window(self) -> int:
        """Most applications that carry gradients where their number is drawn."""
        return self.config.window or self.config.applications

    def _any_step(self, x: jax.Array, key: jax.Array | None, feed: Feed | None) -> Step:
        """Applications of any index, whoever's weights they have."""
        if not self.stacked:
            return partial(self._turn, self._weights, x, key, feed)

        def step(h: jax.Array, i: jax.Array, count: jax.Array) -> jax.Array:
            own = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), self._weights)
            return self._turn(own, x, key, feed, h, i, count)

        return step

    def _stack_segment(
        self, h: jax.Array, x: jax.Array, draw: Draw, key: jax.Array | None, feed: Feed | None
    ) -> jax.Array:
        """A stacked trunk's first ``draw.count`` blocks, the last ``draw.graded`` of them with gradients."""
        total, held = jnp.int32(self.config.applications), lax.stop_gradient

        def body(latent: jax.Array, block: tuple[Params, jax.Array]) -> jax.Array:
            weights, i = block
            which = jnp.where(i >= draw.count, 2, jnp.where(i < draw.count - draw.graded, 1, 0))
            ways = (
                lambda y: self._turn(weights, x, key, feed, y, i, total),
                lambda y: self._turn(held(weights), held(x), key, feed, held(y), i, total),
            )
            return one_of(which, ways, latent)

        return scan_blocks(body, h, (self._weights, jnp.arange(self.config.applications)), self.config.remat)

    def _turn(
        self,
        weights: Params,
        x: jax.Array,
        key: jax.Array | None,
        feed: Feed | None,
        h: jax.Array,
        i: jax.Array,
        count: jax.Array,
    ) -> jax.Array:
        """An application with the trunk's key for all of them."""
        heard = x if feed is None else feed(x, h, i)
        own = None if key is None else jax.random.fold_in(key, i)
        return self._transit(self.advance(weights, h, heard, i, count, own), own)

    def infer(
        self, x: jax.Array, posterior: Posterior, draw: Draw | None, key: jax.Array, feed: Feed | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Run the trunk with noise from a posterior in its last application, which alone carries gradients.

        GRAM takes the posterior's noise in all applications and its divergence in the last. What it says in the earlier
        ones is then free, and the prior need not follow: here these have the prior's noise, so that the bound is one.

        Args:
          x: as in `__call__`, and so are ``key`` and ``feed``.
          posterior: the noise after an application that left ``u [..., W]``.
          draw: how many applications; the trunk's own number if None.

        Returns:
          What the head reads, ``[..., W]``, and the posterior's divergence from the `prior`, ``[...]``, as
          `transition.balanced`.
        """
        count = jnp.int32(self.config.applications) if draw is None else draw.count
        steps, w, last = jax.random.fold_in(key, _STEPS), self.config.width, count - 1
        h = frozen_loop(self._any_step(x, steps, feed), self.start(x, key), jnp.int32(0), last, count)
        weights, own = self._weights, jax.random.fold_in(steps, last)
        if self.stacked:
            weights = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, last, keepdims=False), weights)
        h = self.advance(weights, h, x if feed is None else feed(x, h, last), last, count, own)
        q, p = posterior(h[..., :w]), self.prior(h[..., :w])
        u = transition.moved(h[..., :w], q, jax.random.fold_in(own, _NOISE))
        return self.read(jnp.concatenate([u, h[..., w:]], axis=-1)), transition.balanced(q, p)

    def _transit(self, h: jax.Array, key: jax.Array | None) -> jax.Array:
        """The latent ``[..., Z]`` after an application's noise, drawn with ``key``, or its mean without.

        Of what the head reads alone: in GRAM noise in the fast latent does not help.
        """
        noise, w = self.config.noise, self.config.width
        if noise is None or (key is None and noise != "learned"):
            return h
        u = h[..., :w]
        u = transition.moved(u, self.prior(u), None if key is None else jax.random.fold_in(key, _NOISE))
        return jnp.concatenate([u, h[..., w:]], axis=-1)

    def prior(self, u: jax.Array) -> transition.Gaussian:
        """The noise after an application that left ``u [..., W]``, of a trunk that has any."""
        noise = self.config.noise
        assert noise is not None
        if noise != "learned":
            return transition.fixed(u, noise)
        return transition.learned(u / transition.size(u), self._noise_weights, self._noise_bias)

    def _stack(
        self,
        h: jax.Array,
        x: jax.Array,
        depth: jax.Array | Draw | None,
        key: jax.Array | None,
        feed: Feed | None,
    ) -> jax.Array:
        total = jnp.int32(self.config.applications)
        if depth is None or isinstance(depth, Draw):
            last = total if depth is None else depth.count

            def body(latent: jax.Array, block: tuple[Params, jax.Array]) -> jax.Array:
                weights, i = block
                turn = partial(self._turn, weights, x, key, feed)
                if depth is None:
                    return turn(latent, i, total)
                return when(i < last, lambda y: turn(y, i, total), latent)

            blocks = (self._weights, jnp.arange(self.config.applications))
            return scan_blocks(body, h, blocks, self.config.remat)

        def through(i: jax.Array, latent: jax.Array) -> jax.Array:
            heard = x if feed is None else feed(x, latent, i)
            return self.step(latent, heard, i, total, None if key is None else jax.random.fold_in(key, i))

        return lax.fori_loop(0, depth // self.config.turn_layers, through, h)
