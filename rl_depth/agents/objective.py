"""What a contrastive agent minimises: at the end of its trunks, at a drawn segment, or at all segments.

Axes: ``S`` segments, ``B`` batch, ``A`` action, ``D`` representation, ``W`` width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.struct
import jax
import jax.numpy as jnp

from ..networks.block import Params, applied
from ..networks.network import Network, Reached
from ..networks.recurrence import Draw
from . import losses
from .algorithm import Batch, Hyper

if TYPE_CHECKING:
    from .crl import ContrastiveAgent

_EPS = 1e-6
_POSTERIOR = 2  # folded into the key of the actor's latent
_frozen = jax.lax.stop_gradient


class Noise(flax.struct.PyTreeNode):
    """Everything random in one gradient step."""

    action: jax.Array  # key of the actor's draw
    latents: dict[str, jax.Array]  # key of each network's initial latent
    draws: dict[str, Draw | None]  # recurrence counts of each network
    segment: jax.Array | None = None  # int32, 1 to S: the drawn one, if all networks share it
    pair: tuple[jax.Array, jax.Array] | None = None  # int32, 0 to S - 1: unlike segments of phi and psi


def total_loss(
    agent: ContrastiveAgent, params: dict[str, Any], batch: Batch, hyper: Hyper, noise: Noise
) -> tuple[jax.Array, losses.Metrics]:
    """Sum of the losses, parted by stop_gradient so that each trains its own parameters.

    One pass for all lets the actor's loss use the critic's psi(g) instead of computing it again.
    """
    everywhere = agent.supervision.kind == "all"
    critic_loss, critic_metrics, psi = (_critic_everywhere if everywhere else _critic)(
        agent, params, batch, hyper, noise
    )
    goal = mix_goals(agent.random_goals, _goal(batch, noise))
    goal_psi = mix_goals(agent.random_goals, _frozen(psi))
    actor_loss, actor_metrics, log_prob = _actor(agent, params, batch.state, goal, goal_psi, noise)
    temperature_loss, temperature_metrics = losses.temperature_loss(
        params["log_temperature"], log_prob, hyper.target_entropy * agent.action_size
    )
    total = critic_loss + actor_loss + temperature_loss
    metrics = {**critic_metrics, **actor_metrics, **temperature_metrics}
    if agent.noise_bound is not None:
        loss, own = noise_bound_loss(agent, params, batch, noise)
        total, metrics = total + agent.noise_bound.weight * loss, metrics | own
    if agent.logit_scale == "learned":
        metrics["logit_scale"] = jnp.exp(params["log_logit_scale"])
    return total, metrics


def noise_bound_loss(
    agent: ContrastiveAgent, params: dict[str, Any], batch: Batch, noise: Noise
) -> tuple[jax.Array, losses.Metrics]:
    """The bound of the taken actions' likelihood, to the goals that they led to; see `NoiseBound`."""
    bound = agent.noise_bound
    assert bound is not None
    evidence = batch.action if bound.kind == "elbo-action" else batch.waypoint
    assert evidence is not None
    inputs = jnp.concatenate([batch.state, batch.goal], axis=-1)
    key = jax.random.fold_in(noise.latents["actor"], _POSTERIOR)
    outputs, kl = applied(agent.actor, params["actor"], Network.infer, inputs, evidence, noise.draws["actor"], key)
    return losses.noise_loss(losses.log_density(outputs, batch.action), kl, bound.kl)


def mix_goals(share: float, goals: jax.Array) -> jax.Array:
    """``goals [B, ...]`` with the first ``share`` of them replaced by those of the next transition.

    Transitions of a batch are drawn independently, so the next one's goal is a random one.
    """
    count = round(share * goals.shape[0])
    return jnp.concatenate([jnp.roll(goals, -1, axis=0)[:count], goals[count:]]) if count else goals


def distance_to_last(here: jax.Array, last: jax.Array) -> jax.Array:
    """Mean squared distance of normalised ``here [..., W]`` from ``last [..., W]``, which is held: a scalar.

    Normalised to mean 0 and variance 1 over the units, so that a latent's size does not count (LoopFormer 2026, arXiv
    2602.11451).
    """
    return jnp.mean(jnp.square(_normal(here) - _frozen(_normal(last))))


def _normal(read: jax.Array) -> jax.Array:
    centred = read - jnp.mean(read, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + _EPS)


def _goal(batch: Batch, noise: Noise) -> jax.Array:
    """Goals ``[B, G]`` of the drawn segment if it has its own and the critic is supervised there, else the batch's."""
    if batch.segment_goals is None or noise.draws["psi"] is None:
        return batch.goal
    assert noise.segment is not None
    return jnp.take(batch.segment_goals, noise.segment - 1, axis=1)


def _critic(
    agent: ContrastiveAgent, params: dict[str, Any], batch: Batch, hyper: Hyper, noise: Noise
) -> tuple[jax.Array, losses.Metrics, jax.Array]:
    """The critic's loss at the end of its trunks, wherever that is drawn; its metrics; and psi(g), ``[B, D]``."""
    phi = _at(agent.phi, params["phi"], _phi_inputs(batch.state, batch.action), "phi", noise)
    draw, key = noise.draws["psi"], noise.latents["psi"]
    psi = applied(agent.psi, params["psi"], Network.__call__, _goal(batch, noise), draw, key)
    logits = agent.logits(params, phi.output, psi)
    loss, metrics = losses.contrastive_loss(agent.loss, logits, hyper.logsumexp_penalty)
    if phi.halt is not None:
        metrics["phi_halting_loss"] = losses.foresight_loss(phi.halt, logits)
        loss += metrics["phi_halting_loss"]
    return loss, metrics, psi


def _at(net: Network, params: Params, inputs: jax.Array, name: str, noise: Noise) -> Reached:
    """A network at its drawn depth, or its own; with what it reads only where its halting head needs that."""
    draw, key = noise.draws[name], noise.latents[name]
    if not net.halting:
        return Reached(applied(net, params, Network.__call__, inputs, draw, key), None, None)
    assert draw is not None
    return applied(net, params, Network.segment, inputs, draw, key)[0]


def _critic_everywhere(
    agent: ContrastiveAgent, params: dict[str, Any], batch: Batch, hyper: Hyper, noise: Noise
) -> tuple[jax.Array, losses.Metrics, jax.Array]:
    """As `_critic`, with InfoNCE at the end of every segment; metrics and psi(g) are those of the last."""
    way = agent.supervision
    inputs = _phi_inputs(batch.state, batch.action)
    phi = _trace(agent.phi, params["phi"], inputs, way.segments, noise.latents["phi"])
    psi = _psi_everywhere(agent, params["psi"], batch, noise)

    def one(phi_s: jax.Array, psi_s: jax.Array) -> tuple[jax.Array, jax.Array, losses.Metrics]:
        logits = agent.logits(params, phi_s, psi_s)
        return logits, *losses.contrastive_loss(agent.loss, logits, hyper.logsumexp_penalty)

    logits, each, every = jax.vmap(one)(phi.output, psi.output)
    loss = jnp.array(way.weights) @ each
    metrics = jax.tree.map(lambda values: values[-1], every)
    if noise.pair is not None:
        _, crossed, extra = one(phi.output[noise.pair[0]], psi.output[noise.pair[1]])
        loss += crossed
        metrics["cross_infonce"] = extra["infonce"]
    if way.consistency:
        metrics["critic_consistency"] = sum(_distance_of(own, noise) for own in (phi, psi))
        loss += way.consistency * metrics["critic_consistency"]
    if way.halting:
        assert phi.halt is not None
        metrics["phi_halting_loss"] = jnp.mean(jax.vmap(losses.foresight_loss)(phi.halt, logits))
        loss += metrics["phi_halting_loss"]
    return loss, metrics | {"critic_loss": loss}, psi.output[-1]


def _trace(net: Network, params: Params, inputs: jax.Array, segments: int, key: jax.Array) -> Reached:
    return applied(net, params, Network.trace, inputs, segments, key)


def _distance_of(every: Reached, noise: Noise) -> jax.Array:
    assert every.read is not None and noise.segment is not None
    return distance_to_last(every.read[noise.segment - 1], every.read[-1])


def _distance_between(here: Reached, last: Reached) -> jax.Array:
    assert here.read is not None and last.read is not None
    return distance_to_last(here.read, last.read)


def _psi_everywhere(agent: ContrastiveAgent, params: Params, batch: Batch, noise: Noise) -> Reached:
    """psi at the end of every segment; of the segment's own goals, and then one pass for each, if it has such."""
    way, key = agent.supervision, noise.latents["psi"]
    if batch.segment_goals is None:
        return _trace(agent.psi, params, batch.goal, way.segments, key)

    def one(part: tuple[jax.Array, jax.Array]) -> Reached:
        goals, segment = part
        draw, most = agent.end_of("psi", segment)
        return applied(agent.psi, params, Network.segment, goals, draw, key, most=most)[0]

    return jax.lax.map(one, (jnp.swapaxes(batch.segment_goals, 0, 1), jnp.arange(1, way.segments + 1)))


def _actor(
    agent: ContrastiveAgent, params: dict[str, Any], state: jax.Array, goal: jax.Array, psi: jax.Array, noise: Noise
) -> tuple[jax.Array, losses.Metrics, jax.Array]:
    """The actor's loss, its metrics, and the log densities ``[B]`` or ``[S, B]`` of the actions that it drew.

    The energy of an action is the critic's at its own depth: full, but where that is drawn.
    """
    way, net = agent.supervision, agent.actor
    inputs = jnp.concatenate([state, goal], axis=-1)
    deepest = None
    if way.actor_all:
        here = _trace(net, params["actor"], inputs, way.segments, noise.latents["actor"])
    elif way.kind == "all" or way.further:
        most = agent.end_of("actor", jnp.asarray(noise.segment))[1] if way.kind == "all" else None
        draw, key = noise.draws["actor"], noise.latents["actor"]
        assert draw is not None
        here, deepest = applied(net, params["actor"], Network.segment, inputs, draw, key, way.further, most)
    else:
        here = _at(net, params["actor"], inputs, "actor", noise)
    action, log_prob = losses.sample_action(here.output, noise.action, agent.squash_epsilon)

    def energy(chosen: jax.Array) -> jax.Array:
        phi_inputs = _phi_inputs(jnp.broadcast_to(state, (*chosen.shape[:-1], state.shape[-1])), chosen)
        draw, key = noise.draws["phi"], noise.latents["phi"]
        phi = applied(agent.phi, _frozen(params["phi"]), Network.__call__, phi_inputs, draw, key)
        return agent.similarity(_frozen(params), phi, psi)

    reached = energy(action)
    temperature = jnp.exp(params["log_temperature"])
    if way.actor_all:
        each, every = jax.vmap(losses.actor_loss, (0, 0, None))(log_prob, reached, temperature)
        loss, metrics = jnp.array(way.weights) @ each, jax.tree.map(lambda values: values[-1], every)
        metrics["actor_loss"] = loss
    else:
        loss, metrics = losses.actor_loss(log_prob, reached, temperature)
    if way.consistency:
        moved = _distance_of(here, noise) if deepest is None else _distance_between(here, deepest)
        metrics["actor_consistency"] = moved
        loss += way.consistency * moved
    if way.halting:
        last = reached[-1] if deepest is None else energy(losses.sample_action(deepest.output, noise.action)[0])
        assert here.halt is not None
        metrics["actor_halting_loss"] = losses.gain_loss(here.halt, last - reached)
        loss += metrics["actor_halting_loss"]
    return loss, metrics, log_prob


def _phi_inputs(state: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.concatenate([state, action], axis=-1)
