"""The contrastive agent: one pytree of parameters and optimizer state, and what can be done with it.

Axes: ``B`` batch, ``X`` state, ``G`` goal, ``A`` action, ``D`` representation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from . import losses
from .config import NETWORKS, Config
from .networks import Network, Params


class Batch(flax.struct.PyTreeNode):
    """Transitions relabelled with goals that were reached later."""

    state: jax.Array  # [B, X]
    action: jax.Array  # [B, A]
    goal: jax.Array  # [B, G]


class Hyper(flax.struct.PyTreeNode):
    """Float hyper-parameters; traced, so that agents trained in one program may differ in them."""

    actor_lr: jax.Array
    critic_lr: jax.Array
    temperature_lr: jax.Array
    logsumexp_penalty: jax.Array
    target_entropy: jax.Array  # nats per action dimension
    gamma: jax.Array

    @classmethod
    def of(cls, config: Config) -> Hyper:
        """The hyper-parameters that a configuration names."""
        return cls(**{name: jnp.float32(getattr(config, name)) for name in cls.__dataclass_fields__})


class AgentState(flax.struct.PyTreeNode):
    """What learning changes.

    ``params`` holds ``actor``, ``phi``, ``psi`` (trees) and ``log_temperature`` (scalar).
    """

    params: dict[str, Any]
    optimizer: optax.OptState


_ADAM = optax.scale_by_adam()


@dataclass(frozen=True)
class Agent:
    """The fixed part of an agent: networks and losses. Methods are pure and map states to states.

    Attributes:
      actor, phi, psi: the networks.
      state_size, goal_size, action_size: entries of each vector.
      energy_name: a key of `losses.ENERGIES`.
      loss: the contrastive loss.
      random_goals: share of the actor's batch whose goals belong to other transitions.
    """

    actor: Network
    phi: Network
    psi: Network
    state_size: int
    goal_size: int
    action_size: int
    energy_name: str
    loss: str
    random_goals: float

    @classmethod
    def of(cls, config: Config, state_size: int, goal_size: int, action_size: int) -> Agent:
        """The agent that a configuration describes, for an environment of the given sizes."""
        out = {"actor": 2 * action_size, "phi": config.representation, "psi": config.representation}
        return cls(
            **{name: Network(config.trunk(name), out[name]) for name in NETWORKS},
            state_size=state_size,
            goal_size=goal_size,
            action_size=action_size,
            energy_name=config.energy,
            loss=config.loss,
            random_goals=config.random_goals,
        )

    def create(self, key: jax.Array) -> AgentState:
        """A fresh agent: temperature 1."""
        sizes = {
            "actor": self.state_size + self.goal_size,
            "phi": self.state_size + self.action_size,
            "psi": self.goal_size,
        }
        params: dict[str, Any] = {
            name: getattr(self, name).init(network_key, jnp.zeros((1, sizes[name])))["params"]
            for name, network_key in zip(NETWORKS, jax.random.split(key, len(NETWORKS)), strict=True)
        }
        params["log_temperature"] = jnp.zeros(())
        return AgentState(params=params, optimizer=_ADAM.init(params))

    def act(
        self,
        params: dict[str, Any],
        state: jax.Array,
        goal: jax.Array,
        key: jax.Array | None = None,
        depth: jax.Array | None = None,
    ) -> jax.Array:
        """Actions in [-1, 1] for ``state [..., X]`` and ``goal [..., G]``: ``[..., A]``.

        The mode of the policy, or a draw from it if a ``key`` is given. ``depth`` as in `networks.Trunk`.
        """
        outputs = self._actor(params["actor"], state, goal, depth)
        if key is None:
            return jnp.tanh(losses.policy_distribution(outputs)[0])
        return losses.sample_action(outputs, key)[0]

    def energy(self, params: dict[str, Any], state: jax.Array, action: jax.Array, goal: jax.Array) -> jax.Array:
        """Energy ``[...]`` of reaching ``goal`` after ``action`` in ``state``."""
        phi = self._phi(params["phi"], state, action)
        return losses.energy(self.energy_name, phi, self.psi.apply({"params": params["psi"]}, goal))

    def update(
        self, agent: AgentState, batch: Batch, hyper: Hyper, key: jax.Array
    ) -> tuple[AgentState, losses.Metrics]:
        """One gradient step of critic, actor and temperature, all at the parameters before the step."""
        grads, metrics = jax.grad(self._total_loss, has_aux=True)(agent.params, batch, hyper, key)
        directions, optimizer = _ADAM.update(grads, agent.optimizer)
        rates = {
            "actor": hyper.actor_lr,
            "phi": hyper.critic_lr,
            "psi": hyper.critic_lr,
            "log_temperature": hyper.temperature_lr,
        }
        params = {
            name: jax.tree.map(lambda p, d, rate=rate: p - rate * d, agent.params[name], directions[name])
            for name, rate in rates.items()
        }
        return AgentState(params=params, optimizer=optimizer), metrics

    def _total_loss(
        self, params: dict[str, Any], batch: Batch, hyper: Hyper, key: jax.Array
    ) -> tuple[jax.Array, losses.Metrics]:
        """Sum of the three losses, parted by stop_gradient so that each trains its own parameters.

        One pass for all three lets the actor's loss use the critic's psi(g) instead of computing it again.
        """
        phi = self._phi(params["phi"], batch.state, batch.action)
        psi = self.psi.apply({"params": params["psi"]}, batch.goal)
        logits = losses.pairwise_energy(self.energy_name, phi, psi)
        critic_loss, critic_metrics = losses.contrastive_loss(self.loss, logits, hyper.logsumexp_penalty)

        frozen = jax.lax.stop_gradient
        goal, goal_psi = self._mix_goals(batch.goal), self._mix_goals(frozen(psi))
        action, log_prob = losses.sample_action(self._actor(params["actor"], batch.state, goal), key)
        reached = losses.energy(self.energy_name, self._phi(frozen(params["phi"]), batch.state, action), goal_psi)
        log_temperature = params["log_temperature"]
        actor_loss, actor_metrics = losses.actor_loss(log_prob, reached, jnp.exp(log_temperature))
        temperature_loss, temperature_metrics = losses.temperature_loss(
            log_temperature, log_prob, hyper.target_entropy * self.action_size
        )
        total = critic_loss + actor_loss + temperature_loss
        return total, {**critic_metrics, **actor_metrics, **temperature_metrics}

    def _mix_goals(self, goals: jax.Array) -> jax.Array:
        """``goals [B, ...]`` with the first share of them replaced by those of the next transition.

        Transitions of a batch are drawn independently, so the next one's goal is a random one.
        """
        count = round(self.random_goals * goals.shape[0])
        return jnp.concatenate([jnp.roll(goals, -1, axis=0)[:count], goals[count:]]) if count else goals

    def _actor(self, params: Params, state: jax.Array, goal: jax.Array, depth: jax.Array | None = None) -> jax.Array:
        return self.actor.apply({"params": params}, jnp.concatenate([state, goal], axis=-1), depth)

    def _phi(self, params: Params, state: jax.Array, action: jax.Array) -> jax.Array:
        return self.phi.apply({"params": params}, jnp.concatenate([state, action], axis=-1))
