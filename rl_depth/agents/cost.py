"""What an agent costs, counted from its shapes: parameters, floating-point operations and bytes.

Only matrix products and the logits count as operations, two per multiply-add. The rest (LayerNorm, swish, Adam) is
linear in the activations or the parameters and takes memory bandwidth rather than arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..config import NETWORKS, Config, TrainRecurrence, TrunkConfig
from ..networks.recurrence import group_size
from ..networks.trunks import TRUNKS


@dataclass(frozen=True)
class NetworkCost:
    """One network.

    Attributes:
      parameters: all of them, biases and LayerNorm included.
      acting: operations per sample forward, at the acting depth.
      forward: the same in a gradient step, at the mean count if counts are drawn, and what `remat` runs again.
      backward: operations per sample of one backward pass, through the applications that carry gradients.
      first: those of the input layer alone, whose input needs no gradient in its own update.
    """

    parameters: int
    acting: int
    forward: int
    backward: int
    first: int


@dataclass(frozen=True)
class Cost:
    """An agent: parameters, operations per gradient step and per action."""

    parameters: int
    flops_per_update: int
    flops_per_action: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def network_cost(trunk: TrunkConfig, law: TrainRecurrence | None, inputs: int, outputs: int) -> NetworkCost:
    """Cost of a `networks.Network` whose recurrence count is drawn from ``law``, or fixed."""
    w = trunk.width
    turn = TRUNKS[trunk.block].application(trunk)
    blocks = 1 if trunk.tied else trunk.applications
    start = turn.latent if trunk.latent == "learned" else 0
    feedback = w * outputs if trunk.feedback else 0
    parameters = (inputs * w + 3 * w) + blocks * turn.parameters + start + (w * outputs + outputs) + feedback
    per_turn = turn.flops + 4 * feedback  # the head's product, and as large a one back to the input
    ends = 2 * (inputs * w + w * outputs)
    trained = trunk.applications if law is None else law.mean
    graded = trained if trunk.window is None else min(trained, trunk.window)
    forward = trained + (graded if trunk.remat else 0)
    return NetworkCost(
        parameters=parameters,
        acting=ends + trunk.applications * per_turn,
        forward=ends + round(forward * per_turn),
        backward=2 * (ends + round(graded * per_turn)),
        first=2 * inputs * w,
    )


def agent_cost(config: Config, state_size: int, goal_size: int, action_size: int) -> Cost:
    """Cost of the agent that a configuration describes.

    A gradient step runs each network forward once and backward once (weights and inputs: twice the forward
    pass, less the input layer's input), and phi once more, forward and back to the action, for the actor.
    The logits take three operations per representation entry and pair, and four backward.
    """
    inputs = {"actor": state_size + goal_size, "phi": state_size + action_size, "psi": goal_size}
    outputs = {"actor": 2 * action_size, "phi": config.representation, "psi": config.representation}
    law = config.recurrence()
    nets = {name: network_cost(config.trunk(name), law, inputs[name], outputs[name]) for name in NETWORKS}
    per_sample = sum(net.forward + net.backward - net.first for net in nets.values())
    # The actor's loss runs phi once more: forward, and back to its input alone.
    per_sample += nets["phi"].forward + nets["phi"].backward // 2
    logits = 7 * config.batch_size**2 * config.representation
    return Cost(
        parameters=sum(net.parameters for net in nets.values()) + 1,
        flops_per_update=config.batch_size * per_sample + logits,
        flops_per_action=nets["actor"].acting,
    )


@dataclass(frozen=True)
class Memory:
    """Bytes that one agent takes.

    Attributes:
      state: parameters and Adam's two moments.
      gradients: of all parameters.
      activations: what a gradient step keeps for its backward pass.
      replay: transitions and their bookkeeping.
    """

    state: int
    gradients: int
    activations: int
    replay: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.state + self.gradients + self.activations + self.replay


def agent_memory(config: Config, cost: Cost, state_size: int, action_size: int) -> Memory:
    """Memory of the agent that a configuration describes, whose ``cost`` is known."""
    law = config.recurrence()
    trunks = [config.trunk(network) for network in ("actor", "phi", "phi", "psi")]
    return Memory(
        state=3 * cost.parameters * _FLOAT,
        gradients=cost.parameters * _FLOAT,
        activations=sum(_activations(trunk, law, config.batch_size) for trunk in trunks)
        + 2 * config.batch_size**2 * _FLOAT,
        replay=config.num_envs * config.replay_steps * (state_size + action_size + 1) * _FLOAT,
    )


def _activations(trunk: TrunkConfig, law: TrainRecurrence | None, batch: int) -> int:
    """A latent for each application or group of them, and a normalised product for each layer of those at hand."""
    turns = trunk.applications if law is None or not trunk.tied else law.largest
    turns = turns if trunk.window is None else min(turns, trunk.window)
    group = group_size(turns) if trunk.remat else turns
    product = 2 if trunk.precision == "bfloat16" else _FLOAT
    turn = TRUNKS[trunk.block].application(trunk)
    return batch * ((turns // group + group) * turn.latent * _FLOAT + group * turn.kept * product)


_FLOAT = 4  # bytes
