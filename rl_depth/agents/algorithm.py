"""What every algorithm is to the trainer, the session, the policy and the tables of cost.

Axes: ``B`` batch, ``X`` state, ``G`` goal, ``A`` action.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ..config import Config, Halt
from ..networks.network import Network
from ..networks.recurrence import Draw
from .losses import Metrics

Depth = jax.Array | Draw | None


class Batch(flax.struct.PyTreeNode):
    """Transitions relabelled with goals that were reached later."""

    state: jax.Array  # [B, X]
    action: jax.Array  # [B, A]
    goal: jax.Array  # [B, G]
    segment_goals: jax.Array | None = None  # [B, S, G]: of each segment, the last one's those in ``goal``
    waypoint: jax.Array | None = None  # [B, G]: achieved on the way to the goal


class Hyper(flax.struct.PyTreeNode):
    """Float hyper-parameters; traced, so that agents trained in one program may differ in them."""

    actor_lr: jax.Array
    critic_lr: jax.Array
    temperature_lr: jax.Array
    logsumexp_penalty: jax.Array
    target_entropy: jax.Array  # nats per action dimension
    gamma: jax.Array

    @classmethod
    def of(cls, config: Config, place: jax.Array | int = 0) -> Hyper:
        """The hyper-parameters of one of a configuration's seeds, the ``place``-th."""
        values = {name: [getattr(config, name)] * config.seeds for name in cls.__dataclass_fields__}
        return cls(**{name: jnp.float32(own)[place] for name, own in (values | config.per_seed_values()).items()})


class AgentState(flax.struct.PyTreeNode):
    """What learning changes.

    ``params`` holds ``actor``, ``phi``, ``psi`` (trees), ``log_temperature`` (scalar) and, where that is learned,
    ``log_logit_scale`` (scalar).
    """

    params: dict[str, Any]
    optimizer: optax.OptState
    average: dict[str, Any] | None = None  # moving average of ``params``

    @property
    def evaluated(self) -> dict[str, Any]:
        """The parameters that evaluation measures."""
        return self.params if self.average is None else self.average


class Algorithm(Protocol):
    """An algorithm's agent: its fixed part, with pure methods that map states to states.

    The trainer calls `create`, `act` and `update`; policies `act` and `act_until`, and with a budget `proposals`,
    `energy` and `encode`; maps of energy `energy`; tests at other depths `encode`. ``actor``, ``phi`` and ``psi`` are
    what `agents.cost` prices and what is sharded and saved by the names of their parameters.
    """

    @property
    def actor(self) -> Network:
        """The policy's network."""

    @property
    def phi(self) -> Network:
        """The critic's encoder of a state and an action."""

    @property
    def psi(self) -> Network:
        """The critic's encoder of a goal."""

    @property
    def state_size(self) -> int:
        """Entries ``X`` of a state."""

    @property
    def goal_size(self) -> int:
        """Entries ``G`` of a goal."""

    @property
    def action_size(self) -> int:
        """Entries ``A`` of an action."""

    @property
    def loss(self) -> str:
        """Name of the critic's loss."""

    @classmethod
    def of(cls, config: Config, state_size: int, goal_size: int, action_size: int) -> Self:
        """The agent that a configuration describes, for an environment of the given sizes."""

    def create(self, key: jax.Array) -> AgentState:
        """Fresh parameters and optimizer states."""

    def act(
        self,
        params: dict[str, Any],
        state: jax.Array,
        goal: jax.Array,
        key: jax.Array | None = None,
        depth: jax.Array | None = None,
    ) -> jax.Array:
        """Actions in [-1, 1] for ``state [..., X]`` and ``goal [..., G]``: ``[..., A]``; the mode without a key."""

    def act_until(
        self, params: dict[str, Any], state: jax.Array, goal: jax.Array, halt: Halt, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """`act` with a depth that ``halt`` chooses for each of ``state [B, X]``; also the depths ``[B]``, in layers."""

    def proposals(
        self,
        params: dict[str, Any],
        state: jax.Array,
        goal: jax.Array,
        keys: jax.Array,
        depth: jax.Array | None = None,
        noise: jax.Array | Literal["own"] | None = None,
    ) -> jax.Array:
        """Actions ``[K, ..., A]``, one for each of ``keys [K]``, that are the same however many there are.

        Draws of one pass through the trunk; with ``noise`` the modes of as many latent trajectories, which it or the
        trunk's own noise disturbs.
        """

    def encode(
        self, params: dict[str, Any], batch: Batch, depth: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Representations ``[B, D]`` of a batch's states and actions, and of its goals."""

    def similarity(self, params: dict[str, Any], phi: jax.Array, psi: jax.Array) -> jax.Array:
        """Energy ``[...]`` of representations ``phi [..., D]`` and ``psi [..., D]``."""

    def logits(self, params: dict[str, Any], phi: jax.Array, psi: jax.Array) -> jax.Array:
        """`similarity` ``[B, B]`` of every ``phi [B, D]`` with every ``psi [B, D]``."""

    def energy(self, params: dict[str, Any], state: jax.Array, action: jax.Array, goal: jax.Array) -> jax.Array:
        """How well ``goal`` is reached after ``action`` in ``state``, ``[...]``; larger is better."""

    def update(
        self, agent: AgentState, batch: Batch, hyper: Hyper, key: jax.Array, progress: jax.Array | float = 0.0
    ) -> tuple[AgentState, Metrics]:
        """One gradient step; ``progress`` in [0, 1] is the share of training that is done. Metrics are scalars."""
