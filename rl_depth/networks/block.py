"""The residual block of Wang et al. (2025) and its parts.

Axes: ``...`` batch, ``I`` input, ``W`` width, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ..config import TrunkConfig
from .layers import Hidden, hidden_layers

Params = dict[str, Any]

_Module = TypeVar("_Module", bound=nn.Module)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# Kernels come from `network.draw_kernels`.
Dense = partial(nn.Dense, kernel_init=nn.initializers.zeros)


def applied(
    module: _Module,
    params: Params,
    method: Callable[Concatenate[_Module, _Arguments], _Result],
    *args: _Arguments.args,
    **kwargs: _Arguments.kwargs,
) -> _Result:
    """``method`` of ``module`` on given parameters: `flax.linen.Module.apply`, with the method's own types."""
    options: Any = kwargs  # none is one of Flax's own
    result: Any = module.apply({"params": params}, *args, method=method, **options)
    return result


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
    time ``t = i / r`` and the step size ``1 / r`` (LoopFormer 2026, arXiv 2602.11451). The factor of the inner function
    may be learned (fixed-point reasoners, arXiv 2606.18206).
    """

    config: TrunkConfig

    @nn.compact
    def __call__(self, h: jax.Array, x: jax.Array, phase: jax.Array) -> jax.Array:
        """``h, x [..., W]``, ``phase [2]`` (time and step size) ``-> [..., W]``."""
        c = self.config
        y = nn.LayerNorm(name="pre_norm")(h) if c.norm == "pre" else h
        if c.injection == "add":
            y = y + x
        elif c.injection == "concat":
            y = Dense(c.width, name="inject")(jnp.concatenate([y, x], axis=-1))
        if c.step_conditioning:
            y = y + Dense(c.width, name="condition")(phase)
        y = HiddenLayers(c.block_layers, c.width, c.precision, name="layers")(y)
        if c.residual_scale == "learned":
            step = self.param("residual_scale", nn.initializers.ones, ()) * y
        else:
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
