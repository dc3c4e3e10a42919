"""The contrastive agent: one pytree of parameters and optimizer state, and what can be done with it.

Axes: ``B`` batch, ``X`` state, ``G`` goal, ``A`` action, ``D`` representation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import jax
import jax.numpy as jnp
import optax

from ..config import NETWORKS, Config, Halt, NoiseBound, Supervision, TrainRecurrence
from ..networks.block import Params, applied
from ..networks.network import Network, draw_kernels
from ..networks.recurrence import Draw, Halting, draw, latent_change, step_change
from . import losses
from .algorithm import AgentState, Batch, Depth, Hyper
from .objective import Noise, total_loss

_LATENT = 1  # folded into the key of a draw, for the noise of the trunk
_ADAM = optax.scale_by_adam()


@dataclass(frozen=True)
class ContrastiveAgent:
    """The fixed part of an agent: networks and losses. Methods are pure and map states to states.

    Attributes:
      actor, phi, psi: the networks.
      state_size, goal_size, action_size: entries of each vector.
      energy_name: a key of `losses.ENERGIES`.
      logit_scale: factor of the energy, or "learned".
      squash_epsilon: as in `losses.sample_action`.
      loss: the contrastive loss.
      law: how recurrence counts are drawn for a gradient step; None if they are fixed.
      per_network: whether actor, phi and psi draw apart.
      progressive: share of gradient steps with the progressive loss.
      random_goals: share of the actor's batch whose goals belong to other transitions.
      supervision: where along the trunks the losses stand.
      ema: decay of the moving average of the parameters; None for none.
    """

    actor: Network
    phi: Network
    psi: Network
    state_size: int
    goal_size: int
    action_size: int
    energy_name: str
    logit_scale: float | Literal["learned"]
    squash_epsilon: float | None
    loss: str
    law: TrainRecurrence | None
    per_network: bool
    progressive: float
    random_goals: float
    supervision: Supervision
    ema: float | None
    noise_bound: NoiseBound | None = None

    @classmethod
    def of(cls, config: Config, state_size: int, goal_size: int, action_size: int) -> Self:
        """The agent that a configuration describes, for an environment of the given sizes."""
        out = {"actor": 2 * action_size, "phi": config.representation, "psi": config.representation}
        heads = ("actor", "phi") if config.halting_head else ()
        seen = {"none": 0, "elbo-action": action_size, "elbo-waypoint": goal_size}[config.noise_objective]
        evidence = {"actor": seen, "phi": 0, "psi": 0}
        return cls(
            **{name: Network(config.trunk(name), out[name], name in heads, evidence[name]) for name in NETWORKS},
            state_size=state_size,
            goal_size=goal_size,
            action_size=action_size,
            energy_name=config.energy,
            logit_scale=config.logit_scale,
            squash_epsilon=config.squash_epsilon,
            loss=config.loss,
            law=config.recurrence(),
            per_network=config.recurrence_draw == "per-network",
            progressive=config.progressive,
            random_goals=config.random_goals,
            supervision=config.supervision(),
            ema=config.ema,
            noise_bound=config.noise_bound(),
        )

    def create(self, key: jax.Array) -> AgentState:
        """A fresh agent: temperature 1, and a learned logit scale where CLIP begins."""
        sizes = {
            "actor": self.state_size + self.goal_size,
            "phi": self.state_size + self.action_size,
            "psi": self.goal_size,
        }
        kernel_key, *keys = jax.random.split(key, 1 + len(NETWORKS))
        params: dict[str, Any] = {
            name: getattr(self, name).init(own_key, jnp.zeros((1, sizes[name])))["params"]
            for name, own_key in zip(NETWORKS, keys, strict=True)
        }
        params = draw_kernels(params, kernel_key)
        params["log_temperature"] = jnp.zeros(())
        if self.logit_scale == "learned":
            params["log_logit_scale"] = jnp.log(jnp.float32(losses.FIRST_LOGIT_SCALE))
        return AgentState(params, _ADAM.init(params), None if self.ema is None else jax.tree.map(jnp.copy, params))

    def act(
        self,
        params: dict[str, Any],
        state: jax.Array,
        goal: jax.Array,
        key: jax.Array | None = None,
        depth: jax.Array | None = None,
    ) -> jax.Array:
        """Actions in [-1, 1] for ``state [..., X]`` and ``goal [..., G]``: ``[..., A]``.

        The mode of the policy, or a draw from it if a ``key`` is given, through its trunk's own noise if it has such.
        ``depth`` as in `networks.Trunk`.
        """
        latent_key = None if key is None or not self.noisy else jax.random.fold_in(key, _LATENT)
        outputs = self._actor(params["actor"], state, goal, depth, latent_key)
        return _action(outputs, key)

    @property
    def noisy(self) -> bool:
        """Whether the actor's trunk has noise of its own."""
        return self.actor.trunk_config.noise is not None

    def act_until(
        self, params: dict[str, Any], state: jax.Array, goal: jax.Array, halt: Halt, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """`act` with a depth that ``halt`` chooses for each of ``state [B, X]``; also returns the depths ``[B]``."""
        if halt.rule == "budget":
            depth = jnp.int32(halt.max_depth)
            return self.act(params, state, goal, key, depth), jnp.broadcast_to(depth, state.shape[:1])
        measures = {
            "fixed-point": latent_change,
            "second-order": step_change,
            "action-change": _action_change,
            "learned": _foreseen_gain,
        }
        inputs = jnp.concatenate([state, goal], axis=-1)
        outputs, depth = applied(self.actor, params["actor"], Network.until, inputs, halt, measures[halt.rule])
        return _action(outputs, key), depth

    def proposals(
        self,
        params: dict[str, Any],
        state: jax.Array,
        goal: jax.Array,
        keys: jax.Array,
        depth: jax.Array | None = None,
        noise: jax.Array | Literal["own"] | None = None,
    ) -> jax.Array:
        """Actions ``[K, ..., A]``, one for each of ``keys [K]``; see `Algorithm.proposals`."""
        if noise is None:
            outputs = self._actor(params["actor"], state, goal, depth)
            return jax.vmap(lambda key: _action(outputs, key))(keys)
        inputs = jnp.concatenate([state, goal], axis=-1)
        layers = jnp.int32(self.actor.trunk_config.depth) if depth is None else depth

        def trajectory(key: jax.Array) -> jax.Array:
            if isinstance(noise, str):
                return _action(self._actor(params["actor"], state, goal, depth, key), None)
            net = applied(self.actor, params["actor"], Network.disturbed, inputs, layers, noise, key)
            return _action(net, None)

        return jax.vmap(trajectory)(keys)

    def encode(
        self, params: dict[str, Any], batch: Batch, depth: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """``phi [B, D]`` of a batch's states and actions and ``psi [B, D]`` of its goals, at any test depth."""
        phi = self._phi(params["phi"], batch.state, batch.action, depth)
        return phi, self._psi(params["psi"], batch.goal, depth)

    def energy(self, params: dict[str, Any], state: jax.Array, action: jax.Array, goal: jax.Array) -> jax.Array:
        """Energy ``[...]`` of reaching ``goal`` after ``action`` in ``state``."""
        phi, psi = self._phi(params["phi"], state, action), self._psi(params["psi"], goal)
        return self.similarity(params, phi, psi)

    def similarity(self, params: dict[str, Any], phi: jax.Array, psi: jax.Array) -> jax.Array:
        """Energy ``[...]`` of representations ``phi [..., D]`` and ``psi [..., D]``, times the logit scale."""
        return self._scaled(params, losses.energy(self.energy_name, phi, psi))

    def logits(self, params: dict[str, Any], phi: jax.Array, psi: jax.Array) -> jax.Array:
        """`similarity` ``[B, B]`` of every ``phi [B, D]`` (rows) with every ``psi [B, D]`` (columns)."""
        return self._scaled(params, losses.pairwise_energy(self.energy_name, phi, psi))

    def _scaled(self, params: dict[str, Any], energies: jax.Array) -> jax.Array:
        if self.logit_scale == "learned":
            return jnp.exp(params["log_logit_scale"]) * energies
        return energies if self.logit_scale == 1 else self.logit_scale * energies

    def update(
        self, agent: AgentState, batch: Batch, hyper: Hyper, key: jax.Array, progress: jax.Array | float = 0.0
    ) -> tuple[AgentState, losses.Metrics]:
        """One gradient step of critic, actor, temperature and logit scale, all at the parameters before the step.

        ``progress`` in [0, 1] is the share of training that is done; curricula of the recurrence count follow it.
        """
        noise = self._noise(key, progress)
        grads, metrics = jax.grad(partial(total_loss, self), has_aux=True)(agent.params, batch, hyper, noise)
        updates, optimizer = _ADAM.update(grads, agent.optimizer)
        directions: Any = updates  # a tree like that of the parameters, which Optax's types do not say
        rates = {
            "actor": hyper.actor_lr,
            "phi": hyper.critic_lr,
            "psi": hyper.critic_lr,
            "log_temperature": hyper.temperature_lr,
        }
        if self.logit_scale == "learned":
            rates["log_logit_scale"] = hyper.critic_lr
        params = {
            name: jax.tree.map(lambda p, d, rate=rate: p - rate * d, agent.params[name], directions[name])
            for name, rate in rates.items()
        }
        if self.logit_scale == "learned":
            params["log_logit_scale"] = jnp.minimum(params["log_logit_scale"], math.log(losses.MOST_LOGIT_SCALE))
        average = agent.average
        if (decay := self.ema) is not None:
            average = jax.tree.map(lambda mean, p: decay * mean + (1 - decay) * p, average, params)
        return AgentState(params, optimizer, average), metrics

    @staticmethod
    def action_key(key: jax.Array) -> jax.Array:
        """The key that `update` with ``key`` draws the actor's actions with."""
        return jax.random.split(key, 3)[0]

    def end_of(self, name: str, segment: jax.Array, whole: bool = False) -> tuple[Draw, int]:
        """How a network runs to the end of its ``segment``-th one (from 1), and the most applications that are graded.

        Gradients flow through that segment, or the ``whole`` way to its end; in both cases through the last
        applications only if their number is bounded.
        """
        trunk = getattr(self, name).trunk_config
        each = trunk.applications // self.supervision.segments
        most = min(trunk.applications if whole else each, trunk.window or trunk.applications)
        count = jnp.asarray(segment * each, jnp.int32)
        return Draw(count=count, graded=jnp.minimum(count, most)), most

    def _noise(self, key: jax.Array, progress: jax.Array | float) -> Noise:
        _, latent_key, draw_key = jax.random.split(key, 3)
        latents = dict(zip(NETWORKS, jax.random.split(latent_key, len(NETWORKS)), strict=True))
        noise = Noise(action=self.action_key(key), latents=latents, draws=dict.fromkeys(NETWORKS))
        if self.supervision.kind == "all":
            return self._noise_everywhere(noise, draw_key)
        keys = jax.random.split(draw_key, len(NETWORKS)) if self.per_network else [draw_key] * len(NETWORKS)
        for name, own_key in zip(NETWORKS, keys, strict=True):
            if self.law is not None:
                window = getattr(self, name).trunk_config.window or self.law.largest
                noise.draws[name] = draw(self.law, window, self.progressive, own_key, jnp.float32(progress))
            elif self.supervision.kind == "drawn":
                segment = self._draw_segment(own_key)
                noise.draws[name] = self.end_of(name, segment, whole=True)[0]
        if self.supervision.kind == "drawn" and not self.per_network:
            noise = noise.replace(segment=segment)
        return noise

    def _draw_segment(self, key: jax.Array) -> jax.Array:
        """Uniform from 1 to the number of segments, as ``--train-recurrence uniform`` draws a count with this key."""
        most = self.supervision.segments
        return draw(TrainRecurrence.uniform(1, most), most, 0.0, key, jnp.float32(0)).count

    def _noise_everywhere(self, noise: Noise, key: jax.Array) -> Noise:
        """What is drawn where all segments are supervised: the actor's, and the pair that is contrasted."""
        segment_key, first_key, other_key = jax.random.split(key, 3)
        segments = self.supervision.segments
        segment = self._draw_segment(segment_key)
        noise = noise.replace(segment=segment)
        if not self.supervision.actor_all:
            noise.draws["actor"] = self.end_of("actor", segment)[0]
        if self.supervision.cross_depth:
            first = jax.random.randint(first_key, (), 0, segments)
            other = (first + jax.random.randint(other_key, (), 1, segments)) % segments
            noise = noise.replace(pair=(first, other))
        return noise

    def _actor(
        self, params: Params, state: jax.Array, goal: jax.Array, depth: Depth = None, key: jax.Array | None = None
    ) -> jax.Array:
        return applied(self.actor, params, Network.__call__, jnp.concatenate([state, goal], axis=-1), depth, key)

    def _phi(
        self, params: Params, state: jax.Array, action: jax.Array, depth: Depth = None, key: jax.Array | None = None
    ) -> jax.Array:
        return applied(self.phi, params, Network.__call__, jnp.concatenate([state, action], axis=-1), depth, key)

    def _psi(self, params: Params, goal: jax.Array, depth: Depth = None, key: jax.Array | None = None) -> jax.Array:
        return applied(self.psi, params, Network.__call__, goal, depth, key)


def _action(outputs: jax.Array, key: jax.Array | None) -> jax.Array:
    """The policy's mode, or a draw with ``key``."""
    if key is None:
        return jnp.tanh(losses.policy_distribution(outputs)[0])
    return losses.sample_action(outputs, key)[0]


def _action_change(before: Halting, after: Halting) -> jax.Array:
    """KL divergence (nats) of the new action distribution from the old one: ``[B]``.

    That of the Gaussians before tanh, which is the same, for tanh is one to one.
    """
    (old_mean, old_log_std), (mean, log_std) = (losses.policy_distribution(h.outputs.output) for h in (before, after))
    ratio = jnp.exp(2 * (log_std - old_log_std))
    shift = ((mean - old_mean) / jnp.exp(old_log_std)) ** 2
    return jnp.sum(0.5 * (ratio + shift - 1) - (log_std - old_log_std), axis=-1)


def _foreseen_gain(before: Halting, after: Halting) -> jax.Array:
    """What the halting head expects the energy to gain by going on: ``[B]``."""
    del before
    return after.outputs.halt
