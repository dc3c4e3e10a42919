"""Losses of contrastive RL: pure functions that return ``(loss, metrics)``.

Axes: ``B`` batch, ``D`` representation, ``A`` action. Row ``i`` of the logits belongs to state-action ``i``,
column ``j`` to goal ``j``; positives lie on the diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Metrics = dict[str, jax.Array]

# Under square roots: their gradient at zero is infinite.
_EPS = 1e-12


def _norm(phi: jax.Array, psi: jax.Array) -> jax.Array:
    return -jnp.sqrt(jnp.sum(jnp.square(phi - psi), axis=-1) + _EPS)


def _l2(phi: jax.Array, psi: jax.Array) -> jax.Array:
    return -jnp.sum(jnp.square(phi - psi), axis=-1)


def _dot(phi: jax.Array, psi: jax.Array) -> jax.Array:
    return jnp.sum(phi * psi, axis=-1)


def _cosine(phi: jax.Array, psi: jax.Array) -> jax.Array:
    lengths = jnp.sum(jnp.square(phi), axis=-1) * jnp.sum(jnp.square(psi), axis=-1)
    return _dot(phi, psi) / jnp.sqrt(lengths + _EPS)


ENERGIES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "norm": _norm,
    "l2": _l2,
    "dot": _dot,
    "cosine": _cosine,
}


def energy(name: str, phi: jax.Array, psi: jax.Array) -> jax.Array:
    """Similarity of representations, larger for goals that are likelier to be reached.

    ``norm``: -||phi-psi||; ``l2``: -||phi-psi||^2; ``dot``: phi.psi; ``cosine``: phi.psi / (||phi|| ||psi||).

    Args:
      name: a key of `ENERGIES`.
      phi: ``[..., D]``, broadcast against ``psi [..., D]``.

    Returns:
      ``[...]``.
    """
    return ENERGIES[name](phi, psi)


def pairwise_energy(name: str, phi: jax.Array, psi: jax.Array) -> jax.Array:
    """Logits ``[B, B]`` of every state-action ``phi [B, D]`` (rows) with every goal ``psi [B, D]`` (columns)."""
    assert phi.shape == psi.shape and phi.ndim == 2, (phi.shape, psi.shape)
    if name == "dot":
        return phi @ psi.T
    if name == "cosine":
        lengths = jnp.sum(jnp.square(phi), axis=-1)[:, None] * jnp.sum(jnp.square(psi), axis=-1)
        return (phi @ psi.T) / jnp.sqrt(lengths + _EPS)
    squared = _squared_distances(phi, psi)
    return -squared if name == "l2" else -jnp.sqrt(squared + _EPS)


# A learned logit scale begins at the first, and never exceeds the second (CLIP, Radford et al. 2021, arXiv 2103.00020).
FIRST_LOGIT_SCALE, MOST_LOGIT_SCALE = 1 / 0.07, 100.0


@jax.custom_vjp
def _squared_distances(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """``||phi_i - psi_j||^2 [B, B]`` from the differences, for the products alone would cancel where they are small.

    They are added up a few components at a time, which takes a CPU half as long as a sum over ``[B, B, D]``. Nor does
    the backward pass need such an array: with ``c`` the cotangent, the gradient of ``phi_i`` is
    ``2 sum_j c_ij (phi_i - psi_j)``, a matrix product, and so is that of ``psi_j``.
    """
    batch, size = phi.shape
    some = math.gcd(size, 16)

    def add(total: jax.Array, parts: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        for own, other in zip(*parts, strict=True):
            total += jnp.square(own[:, None] - other)
        return total, None

    groups = (phi.T.reshape(size // some, some, batch), psi.T.reshape(size // some, some, batch))
    return jax.lax.scan(add, jnp.zeros((batch, batch), phi.dtype), groups)[0]


def _distances_forward(phi: jax.Array, psi: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _squared_distances(phi, psi), (phi, psi)


def _distances_backward(saved: tuple[jax.Array, jax.Array], c: jax.Array) -> tuple[jax.Array, jax.Array]:
    phi, psi = saved
    to_phi = 2 * (jnp.sum(c, axis=1)[:, None] * phi - c @ psi)
    to_psi = 2 * (jnp.sum(c, axis=0)[:, None] * psi - c.T @ phi)
    return to_phi, to_psi


_squared_distances.defvjp(_distances_forward, _distances_backward)


def contrastive_loss(name: str, logits: jax.Array, penalty: jax.Array | float) -> tuple[jax.Array, Metrics]:
    """Critic's loss on logits ``l [B, B]``.

    With ``p_ij`` the softmax over goals (rows) and ``q_ij`` that over state-actions (columns):

    - ``fwd_infonce``: mean_i -log p_ii
    - ``bwd_infonce``: mean_i -log q_ii
    - ``sym_infonce``: mean_i -log p_ii - log q_ii
    - ``binary_nce``: mean_ij of the binary cross-entropy of sigmoid(l_ij) against [i = j]

    and ``penalty * mean_i (logsumexp_j l_ij)^2`` added to each. InfoNCE: van den Oord et al. 2018; for RL:
    Eysenbach et al. 2022; penalty: Bortkiewicz et al. 2025.

    Returns:
      The loss and its metrics, among them ``infonce`` (forward InfoNCE without penalty, nats, whatever the
      loss) and ``categorical_accuracy`` (share of rows whose largest logit is the positive).
    """
    assert logits.ndim == 2 and logits.shape[0] == logits.shape[1], logits.shape
    positives = jnp.diagonal(logits)
    rows = jax.nn.logsumexp(logits, axis=1)
    columns = jax.nn.logsumexp(logits, axis=0)
    forward = jnp.mean(rows - positives)
    if name == "fwd_infonce":
        loss = forward
    elif name == "bwd_infonce":
        loss = jnp.mean(columns - positives)
    elif name == "sym_infonce":
        loss = forward + jnp.mean(columns - positives)
    else:
        # -log sigmoid(l) = softplus(-l) on the diagonal, -log(1 - sigmoid(l)) = softplus(l) off it.
        loss = jnp.mean(jax.nn.softplus(logits) - jnp.diag(positives))
    batch = logits.shape[0]
    metrics = {
        "critic_loss": loss + penalty * jnp.mean(jnp.square(rows)),
        "infonce": forward,
        "categorical_accuracy": jnp.mean(jnp.argmax(logits, axis=1) == jnp.arange(batch)),
        "logits_pos": jnp.mean(positives),
        "logits_neg": (jnp.sum(logits) - jnp.sum(positives)) / (batch * (batch - 1)),
        "logsumexp": jnp.mean(rows),
    }
    return metrics["critic_loss"], metrics


def actor_loss(log_prob: jax.Array, energies: jax.Array, temperature: jax.Array) -> tuple[jax.Array, Metrics]:
    """Maximum-entropy policy loss ``mean(temperature * log pi(a|s,g) - energy(s,a,g))`` (Haarnoja et al. 2018).

    Args:
      log_prob: ``[B]``, nats. energies: ``[B]``. temperature: scalar, held constant here.
    """
    assert log_prob.shape == energies.shape and log_prob.ndim == 1, (log_prob.shape, energies.shape)
    loss = jnp.mean(jax.lax.stop_gradient(temperature) * log_prob - energies)
    return loss, {"actor_loss": loss, "entropy": -jnp.mean(log_prob)}


def temperature_loss(
    log_temperature: jax.Array, log_prob: jax.Array, target_entropy: jax.Array | float
) -> tuple[jax.Array, Metrics]:
    """``temperature * mean(entropy - target)``: raises the temperature while entropy is below its target.

    Args:
      log_temperature: scalar. log_prob: ``[B]``, nats, held constant here. target_entropy: nats.
    """
    temperature = jnp.exp(log_temperature)
    loss = temperature * jax.lax.stop_gradient(jnp.mean(-log_prob) - target_entropy)
    return loss, {"temperature_loss": loss, "temperature": temperature}


def foresight_loss(foreseen: jax.Array, logits: jax.Array) -> jax.Array:
    """Of phi's halting head ``[B]``: does it know whether the positive is ranked first in ``logits [B, B]``, held here?

    Binary cross-entropy of ``sigmoid(foreseen)``, as HRM and TRM learn whether their answer is right.
    """
    first = jnp.argmax(logits, axis=1) == jnp.arange(len(logits))
    return jnp.mean(jax.nn.softplus(foreseen) - first * foreseen)


def gain_loss(foreseen: jax.Array, gain: jax.Array) -> jax.Array:
    """Of the actor's halting head: mean squared error against what the energy gains by going on, which is held.

    Args:
      foreseen, gain: ``[...]``, in units of the energy.
    """
    return jnp.mean(jnp.square(foreseen - jax.lax.stop_gradient(gain)))


# Bounds of the actor's log standard deviation.
LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


def policy_distribution(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation ``[..., A]`` before the tanh, from the actor's outputs ``[..., 2A]``.

    The log deviation is squashed into ``[LOG_STD_MIN, LOG_STD_MAX]`` by a tanh.
    """
    mean, raw = jnp.split(outputs, 2, axis=-1)
    return mean, LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (jnp.tanh(raw) + 1)


def log_density(outputs: jax.Array, action: jax.Array) -> jax.Array:
    """Log density ``[...]`` (nats) of ``action [..., A]`` in [-1, 1] under the policy; see `sample_action`.

    Actions at the bounds are taken for ones just within.
    """
    mean, log_std = policy_distribution(outputs)
    u = jnp.arctanh(jnp.clip(action, -_INSIDE, _INSIDE))
    gaussian = -0.5 * jnp.square((u - mean) * jnp.exp(-log_std)) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    return jnp.sum(gaussian - _log_slope(u), axis=-1)


_INSIDE = 1 - 1e-4


def _log_slope(u: jax.Array, epsilon: float | None = None) -> jax.Array:
    """``log(1 - tanh(u)^2)``, exactly, or with an epsilon that keeps the logarithm finite."""
    if epsilon is not None:
        return jnp.log(1 - jnp.square(jnp.tanh(u)) + epsilon)
    return 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))


def noise_loss(log_prob: jax.Array, divergence: jax.Array, kl_weight: jax.Array | float) -> tuple[jax.Array, Metrics]:
    """Negative evidence lower bound ``mean(-log pi(a|s,g,h) + kl_weight KL(q || p))``, nats, of actions of the replay.

    Args:
      log_prob, divergence: ``[B]``, with noise from the posterior.
    """
    assert log_prob.shape == divergence.shape and log_prob.ndim == 1, (log_prob.shape, divergence.shape)
    loss = jnp.mean(kl_weight * divergence - log_prob)
    return loss, {"noise_loss": loss, "noise_kl": jnp.mean(divergence), "noise_log_prob": jnp.mean(log_prob)}


def sample_action(
    outputs: jax.Array, key: jax.Array, squash_epsilon: float | None = None
) -> tuple[jax.Array, jax.Array]:
    """Draw from the tanh-Gaussian policy.

    Args:
      outputs: the actor's outputs ``[..., 2A]``.
      key: random key.
      squash_epsilon: what the density's logarithm of ``1 - tanh(u)^2`` adds to it, as JaxGCRL has it; None for the
        exact density.

    Returns:
      Actions in ``(-1, 1)``, ``[..., A]``, and their log density ``[...]``, nats:
      ``log N(u; mean, std) - sum log(1 - tanh(u)^2)``, the last term as ``2 (log 2 - u - softplus(-2u))``.
    """
    mean, log_std = policy_distribution(outputs)
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    u = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    slope = _log_slope(u, squash_epsilon)  # before tanh: XLA rounds otherwise in another order
    return jnp.tanh(u), jnp.sum(gaussian - slope, axis=-1)
