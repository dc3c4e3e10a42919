"""What an agent costs, counted from its shapes: parameters and floating-point operations.

Only matrix products count, two operations per multiply-add. The rest (LayerNorm, swish, Adam) is
linear in the activations or the parameters and takes memory bandwidth rather than arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .config import NETWORKS, Config, TrunkConfig


@dataclass(frozen=True)
class NetworkCost:
    """One network.

    Attributes:
      parameters: all of them, biases and LayerNorm included.
      forward: operations per sample, forward.
      first: those of the input layer alone, whose input needs no gradient in its own update.
    """

    parameters: int
    forward: int
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


def network_cost(trunk: TrunkConfig, inputs: int, outputs: int) -> NetworkCost:
    """Cost of a `networks.Network`."""
    w = trunk.width
    norm = 2 * w
    layer = w * w + w + norm
    inject = 2 * w * w + w if trunk.block == "looped" and trunk.injection == "concat" else 0
    block = trunk.block_layers * layer + inject
    blocks = 1 if trunk.block == "looped" else trunk.applications
    parameters = (inputs * w + w + norm) + blocks * block + (w * outputs + outputs)
    per_block = trunk.block_layers * w * w + (2 * w * w if inject else 0)
    first = 2 * inputs * w
    return NetworkCost(parameters, first + 2 * (trunk.applications * per_block + w * outputs), first)


def agent_cost(config: Config, state_size: int, goal_size: int, action_size: int) -> Cost:
    """Cost of the agent that a configuration describes.

    A gradient step runs each network forward once and backward once (weights and inputs: twice the forward
    pass, less the input layer's input), and phi once more, forward and back to the action, for the actor.
    The logits take three operations per representation entry and pair, and twice that backward.
    """
    inputs = {"actor": state_size + goal_size, "phi": state_size + action_size, "psi": goal_size}
    outputs = {"actor": 2 * action_size, "phi": config.representation, "psi": config.representation}
    nets = {name: network_cost(config.trunk(name), inputs[name], outputs[name]) for name in NETWORKS}
    per_sample = sum(3 * net.forward - net.first for net in nets.values()) + 2 * nets["phi"].forward
    logits = 9 * config.batch_size**2 * config.representation
    return Cost(
        parameters=sum(net.parameters for net in nets.values()) + 1,
        flops_per_update=config.batch_size * per_sample + logits,
        flops_per_action=nets["actor"].forward,
    )
