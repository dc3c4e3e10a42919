"""The networks: residual blocks, stacked and looped trunks, and the one network class built on them.

Axes: ``...`` batch, ``I`` input, ``W`` width, ``O`` output, ``N`` blocks.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from .config import TrunkConfig
from .layers import Hidden, hidden_layers
from .recurrence import Draw, Measure, iterate, iterate_drawn, iterate_forward, iterate_until, scan_blocks
from .specs import Halt

Params = dict[str, Any]

# Kernels come from `draw_kernels`.
_Dense = partial(nn.Dense, kernel_init=nn.initializers.zeros)


class HiddenLayers(nn.Module):
    """Layers of Dense, LayerNorm and swish in sequence.

    Attributes:
      layers: how many, ``L``.
      width: units of each.
      precision: dtype of the matrix products' factors.
    """

    layers: int
    width: int
    precision: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[..., I] -> [..., W]``."""
        shape = (self.layers, self.width)
        weights = Hidden(
            kernel=self.param("kernel", nn.initializers.zeros, (self.layers, x.shape[-1], self.width)),
            bias=self.param("bias", nn.initializers.zeros, shape),
            scale=self.param("scale", nn.initializers.ones, shape),
            shift=self.param("shift", nn.initializers.zeros, shape),
        )
        return hidden_layers(None if self.precision == "float32" else jnp.dtype(self.precision), weights, x)


class Block(nn.Module):
    """Residual unit of Wang et al. (2025): ``h + [swish . LayerNorm . Dense]^layers (h)``, and its variants.

    Looped trunks inject their input ``x``: the inner function reads ``h + x`` ("add") or a linear projection of
    ``[h, x]`` ("concat"), the residual path stays ``h`` ("recall", Bansal et al. 2022). They may also tell it the
    time ``t = i / r`` and the step size ``1 / r`` (LoopFormer 2026, arXiv 2602.11451).
    """

    config: TrunkConfig

    @nn.compact
    def __call__(self, h: jax.Array, x: jax.Array, phase: jax.Array) -> jax.Array:
        """``h, x [..., W]``, ``phase [2]`` (time and step size) ``-> [..., W]``."""
        c = self.config
        tied = c.block == "looped"
        y = nn.LayerNorm(name="pre_norm")(h) if c.norm == "pre" else h
        if tied and c.injection == "add":
            y = y + x
        elif tied and c.injection == "concat":
            y = _Dense(c.width, name="inject")(jnp.concatenate([y, x], axis=-1))
        if c.step_conditioning:
            y = y + _Dense(c.width, name="condition")(phase)
        y = HiddenLayers(c.block_layers, c.width, c.precision, name="layers")(y)
        step = c.residual_scale * y
        if c.step_limit is not None:
            step = _limited(step, h, c.step_limit)
        return nn.LayerNorm(name="post_norm")(h + step) if c.norm == "post" else h + step


def _limited(step: jax.Array, h: jax.Array, limit: float) -> jax.Array:
    """``step`` shortened to ``limit`` times the size of the latent, so that no loop can run away.

    Size is ``sqrt(1 + mean(h^2))``. The kernels' spectral norms are no handle here: LayerNorm undoes any
    scale of the kernel before it.
    """
    size = jnp.sqrt(1 + jnp.mean(h**2, axis=-1, keepdims=True))
    length = jnp.sqrt(jnp.mean(step**2, axis=-1, keepdims=True) + 1e-12)
    return step * jnp.minimum(1.0, limit * size / length)


class Trunk(nn.Module):
    """Block applications in sequence, each with its own weights (stacked) or all with one set (looped).

    Depth counts dense layers: ``applications * block_layers``. Stacked weights carry a leading axis ``N`` and
    are scanned over, so that neither tracing nor compiling grows with depth.
    """

    config: TrunkConfig

    def setup(self) -> None:
        """Declare the weights."""
        c = self.config
        self._block = Block(c, parent=None)
        blank = jnp.zeros((1, c.width))

        def init(key: jax.Array) -> Params:
            return self._block.init(key, blank, blank, jnp.zeros(2))["params"]

        if c.block == "looped":
            self._weights = self.param("block", init)
        else:
            self._weights = self.param("blocks", lambda key: jax.vmap(init)(jax.random.split(key, c.applications)))
        if c.latent == "learned":
            self._start = self.param("start", nn.initializers.normal(1.0), (c.width,))

    def __call__(self, x: jax.Array, depth: jax.Array | Draw | None = None, key: jax.Array | None = None) -> jax.Array:
        """Run the trunk.

        Args:
          x: ``[..., W]``, the input layer's output.
          depth: None for the trunk's own depth; traced dense layers to act with, forward only, a multiple of
            ``block_layers``; or what a gradient step trains with. A stacked trunk runs its first blocks, all
            at most; a looped one any number.
          key: draws the initial latent where it is Gaussian.

        Returns:
          ``[..., W]``.
        """
        c = self.config
        h = self.first(x, key)
        if c.block == "stacked":
            return self._stacked(h, x, depth)
        step = partial(self._apply, self._weights, x)
        if depth is None:
            return iterate(step, h, c.applications, c.window, c.remat)
        if isinstance(depth, Draw):
            return iterate_drawn(step, h, depth, c.window, c.remat)
        return iterate_forward(step, h, depth // c.block_layers)

    def first(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """The initial latent ``[..., W]``: the input, zero, a learned vector, or Gaussian noise.

        Without a key the noise is one fixed vector, so that acting is a function and a sample's result does not
        depend on its batch.
        """
        kind = self.config.latent
        if kind == "zero":
            return jnp.zeros_like(x)
        if kind == "learned":
            return jnp.broadcast_to(self._start, x.shape)
        if kind == "gaussian":
            if key is None:
                return jnp.broadcast_to(jax.random.normal(jax.random.key(0), x.shape[-1:]), x.shape)
            return jax.random.normal(key, x.shape)
        return x

    def step(self, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array) -> jax.Array:
        """The ``i``-th of ``count`` applications: ``h, x [..., W] -> [..., W]``, forward only."""
        weights = self._weights
        if self.config.block == "stacked":
            weights = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), weights)
        return self._apply(weights, x, h, i, count)

    def _apply(self, weights: Params, x: jax.Array, h: jax.Array, i: jax.Array, count: jax.Array) -> jax.Array:
        return self._block.apply({"params": weights}, h, x, jnp.stack([i / count, 1 / count]))

    def _stacked(self, h: jax.Array, x: jax.Array, depth: jax.Array | Draw | None) -> jax.Array:
        total = jnp.int32(self.config.applications)
        if depth is None or isinstance(depth, Draw):
            last = total if depth is None else depth.count

            def body(latent: jax.Array, block: tuple[Params, jax.Array]) -> jax.Array:
                weights, i = block
                if depth is None:
                    return self._apply(weights, x, latent, i, total)
                apply = partial(self._apply, weights, x)
                return lax.cond(i < last, lambda y: apply(y, i, total), lambda y: y, latent)

            blocks = (self._weights, jnp.arange(self.config.applications))
            return scan_blocks(body, h, blocks, self.config.remat)
        return lax.fori_loop(0, depth // self.config.block_layers, lambda i, y: self.step(y, x, i, total), h)


class Network(nn.Module):
    """Input layer (Dense, LayerNorm, swish), trunk, linear head: actor, phi and psi alike.

    Attributes:
      trunk_config: the trunk.
      out: outputs ``O`` of the head.
    """

    trunk_config: TrunkConfig
    out: int

    def setup(self) -> None:
        """Declare the layers."""
        self.input = HiddenLayers(1, self.trunk_config.width, self.trunk_config.precision)
        self.trunk = Trunk(self.trunk_config)
        self.head = _Dense(self.out)

    def __call__(self, x: jax.Array, depth: jax.Array | Draw | None = None, key: jax.Array | None = None) -> jax.Array:
        """``x [..., I] -> [..., O]``; ``depth`` and ``key`` as in `Trunk`."""
        return self.head(self.trunk(self.embed(x), depth, key))

    def embed(self, x: jax.Array) -> jax.Array:
        """The input layer: ``[..., I] -> [..., W]``."""
        return self.input(x)

    def latents(self, x: jax.Array, count: int, start: jax.Array | None = None) -> jax.Array:
        """Latents before the first and after each of ``count`` applications: ``[count + 1, ..., W]``.

        ``start [..., W]`` takes the place of the trunk's own initial latent.
        """
        embedded = self.embed(x)
        first = self.trunk.first(embedded) if start is None else start

        def body(h: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
            h = self.trunk.step(h, embedded, i, jnp.int32(count))
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
        c = self.trunk_config
        most = halt.max_depth // c.block_layers
        most = most if c.block == "looped" else min(most, c.applications)
        embedded = self.embed(x)
        total = jnp.int32(c.applications)
        done = iterate_until(
            lambda h, i: self.trunk.step(h, embedded, i, total),
            self.head,
            measure,
            self.trunk.first(embedded),
            eps=halt.eps,
            patience=halt.patience,
            most=most,
        )
        return done.outputs, done.count * c.block_layers


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
