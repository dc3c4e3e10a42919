"""The network that actor, phi and psi share: input layer, trunk, head; and how its weights are drawn.

Axes: ``...`` batch, ``I`` input, ``W`` width, ``Z`` latent, ``O`` output.
"""

from __future__ import annotations

import math

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from ..config import Halt, TrunkConfig
from . import transition
from .block import Dense, HiddenLayers, Params
from .recurrence import Draw, Measure, iterate_until
from .trunks import make_trunk
from .trunks.base import Feed


class Reached(flax.struct.PyTreeNode):
    """What a network says somewhere along its trunk."""

    output: jax.Array  # [..., O]
    read: jax.Array | None  # [..., W]: what the head read
    halt: jax.Array | None  # [...]: the halting head's output


class Network(nn.Module):
    """Input layer (Dense, LayerNorm, swish), trunk, linear head: actor, phi and psi alike.

    Attributes:
      trunk_config: the trunk.
      out: outputs ``O`` of the head.
      halting: whether a second head of one output, zero at first, learns when to stop.
      evidence: entries ``E`` of what a posterior of the trunk's noise sees; 0 for no posterior.
    """

    trunk_config: TrunkConfig
    out: int
    halting: bool = False
    evidence: int = 0

    def setup(self) -> None:
        """Declare the layers."""
        self.input = HiddenLayers(1, self.trunk_config.width, self.trunk_config.precision)
        self.trunk = make_trunk(self.trunk_config)
        self.head = Dense(self.out)
        if self.trunk_config.feedback:
            self._feedback = self.param("feedback", nn.initializers.zeros, (self.out, self.trunk_config.width))
        if self.halting:  # zero at first, and no "kernel", for those are drawn
            self._halt_weights = self.param("halt_weights", nn.initializers.zeros, (self.trunk_config.width,))
            self._halt_bias = self.param("halt_bias", nn.initializers.zeros, ())
        if self.evidence:
            w = self.trunk_config.width
            self.witness = HiddenLayers(1, w, self.trunk_config.precision)
            self._posterior_weights = self.param("posterior_weights", nn.initializers.zeros, (2 * w, 2 * w))
            self._posterior_bias = self.param("posterior_bias", nn.initializers.zeros, (2 * w,))

    def __call__(self, x: jax.Array, depth: jax.Array | Draw | None = None, key: jax.Array | None = None) -> jax.Array:
        """``x [..., I] -> [..., O]``; ``depth`` and ``key`` as in `Trunk`."""
        embedded = self.embed(x)
        if self.is_initializing():
            self.head(embedded)  # its parameters cannot be made within a loop
            if self.evidence:
                self.witness(jnp.zeros((*x.shape[:-1], self.evidence)))
        return self.head(self.trunk(embedded, depth, key, self._feed))

    @property
    def _feed(self) -> Feed | None:
        """With feedback, the last output joins an application's input, as the answer does in TRM (arXiv 2510.04871)."""
        return self._with_output if self.trunk_config.feedback else None

    def _with_output(self, x: jax.Array, h: jax.Array, i: jax.Array) -> jax.Array:
        said = jnp.tanh(self.head(self.trunk.read(h)))
        return x + jnp.where(i > 0, said @ self._feedback, 0)

    def _step(self, x: jax.Array, h: jax.Array, i: jax.Array, count: jax.Array) -> jax.Array:
        heard = x if self._feed is None else self._feed(x, h, i)
        return self.trunk.step(h, heard, i, count)

    def disturbed(self, x: jax.Array, depth: jax.Array, noise: jax.Array, key: jax.Array) -> jax.Array:
        """Outputs ``[..., O]`` at a traced test depth, the latent disturbed after every application.

        ``h <- h + noise * rms(h) * N(0, I)``, drawn with ``fold_in(key, i)`` after the ``i``-th. PTRM (arXiv
        2605.19943) has it without ``rms(h)``; with it the noise keeps pace with a latent that grows.
        """
        embedded = self.embed(x)
        count = depth // self.trunk_config.turn_layers

        def through(i: jax.Array, h: jax.Array) -> jax.Array:
            h = self._step(embedded, h, i, count)
            size = jnp.sqrt(jnp.mean(jnp.square(h), axis=-1, keepdims=True))
            return h + noise * size * jax.random.normal(jax.random.fold_in(key, i), h.shape)

        return self.head(self.trunk.read(lax.fori_loop(0, count, through, self.trunk.start(embedded))))

    def embed(self, x: jax.Array) -> jax.Array:
        """The input layer: ``[..., I] -> [..., W]``."""
        return self.input(x)

    def trace(self, x: jax.Array, segments: int, key: jax.Array | None = None) -> Reached:
        """Outputs at the end of each of ``segments``: every array has a leading axis ``S``; see `Trunk.trace`."""
        read = self.trunk.trace(self.embed(x), segments, key, self._feed)
        return Reached(self.head(read), read, self.halt(read))

    def segment(
        self,
        x: jax.Array,
        draw: Draw,
        key: jax.Array | None = None,
        further: bool = False,
        most: int | None = None,
    ) -> tuple[Reached, Reached | None]:
        """Outputs at the end of a drawn segment, and at the full depth without gradients; see `Trunk.segment`."""
        read, deepest = self.trunk.segment(self.embed(x), draw, key, self._feed, further, most)
        here = Reached(self.head(read), read, self.halt(read))
        if deepest is None:
            return here, None
        return here, jax.tree.map(lax.stop_gradient, Reached(self.head(deepest), deepest, self.halt(deepest)))

    def infer(
        self, x: jax.Array, evidence: jax.Array, draw: Draw | None, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Outputs ``[..., O]`` with noise of a posterior that sees ``evidence [..., E]``, and its divergence ``[...]``.

        The posterior reads the latent, of unit size, beside a layer's view of the evidence; see `Trunk.infer`.
        """
        seen = self.witness(evidence)

        def posterior(u: jax.Array) -> transition.Gaussian:
            heard = jnp.concatenate([u / transition.size(u), seen], axis=-1)
            return transition.learned(heard, self._posterior_weights, self._posterior_bias)

        read, divergence = self.trunk.infer(self.embed(x), posterior, draw, key, self._feed)
        return self.head(read), divergence

    def foresee(self, x: jax.Array, depth: jax.Array) -> jax.Array:
        """The halting head's output ``[...]`` for ``x [..., I]`` at a traced test depth."""
        foreseen = self.halt(self.trunk(self.embed(x), depth, None, self._feed))
        assert foreseen is not None, "no halting head"
        return foreseen

    def halt(self, read: jax.Array) -> jax.Array | None:
        """The halting head on what the head reads, ``[..., W] -> [...]``; its loss trains no weight but its own."""
        return lax.stop_gradient(read) @ self._halt_weights + self._halt_bias if self.halting else None

    def latents(self, x: jax.Array, count: int, start: jax.Array | None = None) -> jax.Array:
        """Latents before the first and after each of ``count`` applications: ``[count + 1, ..., Z]``.

        ``start [..., Z]`` takes the place of the trunk's own initial latent.
        """
        embedded = self.embed(x)
        first = self.trunk.start(embedded) if start is None else start

        def body(h: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
            h = self._step(embedded, h, i, jnp.int32(count))
            return h, h

        rest = lax.scan(body, first, jnp.arange(count))[1]
        return jnp.concatenate([first[None], rest])

    def until(self, x: jax.Array, halt: Halt, measure: Measure) -> tuple[jax.Array, jax.Array]:
        """Apply the block until ``halt`` says stop, sample by sample.

        Args:
          x: ``[B, I]``.
          halt: the rule; a stacked trunk stops at its own depth at the latest.
          measure: what the rule compares with its eps.

        Returns:
          Outputs ``[B, O]`` and the dense layers that each sample took ``[B]``, int32.
        """
        assert halt.eps is not None, halt
        c = self.trunk_config
        most = halt.max_depth // c.turn_layers
        most = most if c.tied else min(most, c.applications)
        embedded = self.embed(x)
        total = jnp.int32(c.applications)
        done = iterate_until(
            lambda h, i: self._step(embedded, h, i, total),
            self._say,
            measure,
            self.trunk.start(embedded),
            eps=halt.eps,
            patience=halt.patience,
            most=most,
        )
        return done.outputs.output, done.count * c.turn_layers

    def _say(self, h: jax.Array) -> Reached:
        read = self.trunk.read(h)
        return Reached(self.head(read), None, self.halt(read))


_CHUNK = 1 << 16


def draw_kernels(params: Params, key: jax.Array) -> Params:
    """``params`` with every kernel ``[..., I, O]`` drawn uniformly from +-1/sqrt(I), as in Wang et al. (2025).

    All are cut out of one stream of numbers that is drawn piece by piece: to compile a generator for each takes as
    long as half a gradient step's program, and to run it on whole arrays leaves the processor's cache.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    sizes = [leaf.size if path[-1].key == "kernel" else 0 for path, leaf in leaves]

    def draw(i: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, i), (_CHUNK,), minval=-1.0)

    numbers = lax.map(draw, jnp.arange(-(-sum(sizes) // _CHUNK))).reshape(-1)
    drawn, start = [], 0
    for (_, leaf), size in zip(leaves, sizes, strict=True):
        own = numbers[start : start + size]
        drawn.append(own.reshape(leaf.shape) / math.sqrt(leaf.shape[-2]) if size else leaf)
        start += size
    return tree.unflatten(drawn)
