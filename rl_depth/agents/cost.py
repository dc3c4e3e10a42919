"""What an agent costs, counted from its shapes: parameters, floating-point operations and bytes.

Only matrix products and the logits count as operations, two per multiply-add. The rest (LayerNorm, swish, Adam) is
linear in the activations or the parameters and takes memory bandwidth rather than arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config import NETWORKS, Budget, Config, Supervision, TrainRecurrence, TrunkConfig
from ..networks.recurrence import group_size
from ..networks.trunks import application_of


@dataclass(frozen=True)
class Turns:
    """How much of its trunk a network runs in a gradient step, means over what is drawn.

    Attributes:
      forward: applications.
      graded: those of them that gradients flow through.
      held: most of them that are kept for the backward pass at once.
      heads: outputs that a loss is taken at.
      inputs: goals that the network reads for each transition.
    """

    forward: float
    graded: float
    held: int
    heads: int = 1
    inputs: int = 1

    @classmethod
    def of(cls, trunk: TrunkConfig, law: TrainRecurrence | None, way: Supervision, actor: bool = False) -> Turns:
        """Those of one network; an ``actor`` may be supervised at a drawn segment where the critic is at all."""
        total, parts = trunk.applications, range(1, way.segments + 1)
        each = total // way.segments
        if way.kind == "last":
            trained = total if law is None else law.mean
            most = total if law is None or not trunk.tied else law.largest
            return cls(trained, _least(trained, trunk.window), _least(most, trunk.window))
        if way.kind == "drawn":
            ends = [each * s for s in parts]
            forward = total if actor and way.further else sum(ends) / way.segments
            return cls(
                forward, sum(_least(end, trunk.window) for end in ends) / way.segments, _least(total, trunk.window)
            )
        graded = _least(each, trunk.window)
        if actor and not way.actor_all:
            forward = total if way.further else each * (way.segments + 1) / 2
            return cls(forward, graded, graded)
        return cls(total, way.segments * graded, way.segments * graded, way.segments)

    @classmethod
    def of_goals(cls, trunk: TrunkConfig, law: TrainRecurrence | None, way: Supervision) -> Turns:
        """Those of psi: if each of all segments has goals of its own, each takes a pass."""
        turns = cls.of(trunk, law, way)
        if way.kind != "all" or way.horizon is None:
            return turns
        passes = trunk.applications * (way.segments + 1) / 2
        return replace(turns, forward=passes, inputs=way.segments)

    @classmethod
    def of_energy(cls, trunk: TrunkConfig, law: TrainRecurrence | None, way: Supervision) -> Turns:
        """Those of phi on the actor's actions: where all segments are supervised, at full depth."""
        return cls.of(trunk, law, Supervision() if way.kind == "all" else way)


def _least(turns: float, window: int | None) -> Any:
    return turns if window is None else min(turns, window)


@dataclass(frozen=True)
class Price:
    """What something takes, forward.

    Attributes:
      flops: operations.
      serial: dense layers in sequence on the longest way: the latency that no parallel hardware removes.
    """

    flops: float
    serial: float


def forward_price(trunk: TrunkConfig, inputs: int, outputs: int) -> Price:
    """Price of one forward pass of a `networks.Network` for one sample."""
    w, turn = trunk.width, application_of(trunk)
    feedback = 4 * w * outputs if trunk.feedback else 0  # the head, and back to the input
    flops = 2 * w * (inputs + outputs) + trunk.applications * (turn.flops + feedback)
    return Price(flops, 2 + trunk.applications * (turn.serial + 2 * trunk.feedback))


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


def network_cost(trunk: TrunkConfig, turns: Turns, inputs: int, outputs: int) -> NetworkCost:
    """Cost of a `networks.Network` that runs ``turns`` of its trunk in a gradient step."""
    w = trunk.width
    turn = application_of(trunk)
    blocks = 1 if trunk.tied else trunk.applications
    start = turn.latent if trunk.latent == "learned" else 0
    start += 2 * w * (w + 1) if trunk.noise == "learned" else 0
    feedback = w * outputs if trunk.feedback else 0
    parameters = (inputs * w + 3 * w) + blocks * turn.parameters + start + (w * outputs + outputs) + feedback
    per_turn, back = (flops + 4 * feedback for flops in (turn.flops, turn.graded))  # the head, and back to the input
    first, head = 2 * inputs * w, 2 * w * outputs
    ends = turns.inputs * first + turns.heads * head
    forward = turns.forward + (turns.graded if trunk.remat else 0)
    return NetworkCost(
        parameters=parameters,
        acting=round(forward_price(trunk, inputs, outputs).flops),
        forward=ends + round(forward * per_turn),
        backward=2 * (ends + round(turns.graded * back)),
        first=turns.inputs * first,
    )


@dataclass(frozen=True)
class Cost:
    """An agent: parameters, operations per gradient step and per action."""

    parameters: int
    flops_per_update: int
    flops_per_action: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def agent_cost(config: Config, state_size: int, goal_size: int, action_size: int) -> Cost:
    """Cost of the agent that a configuration describes.

    A gradient step runs each network forward once and backward once (weights and inputs: twice the forward
    pass, less the input layer's input), and phi once more, forward and back to the action, for the actor.
    The logits take three operations per representation entry and pair, and four backward.
    """
    inputs = {"actor": state_size + goal_size, "phi": state_size + action_size, "psi": goal_size}
    outputs = {"actor": 2 * action_size, "phi": config.representation, "psi": config.representation}
    turns, way = turns_of(config), config.supervision()
    trunks = {name: config.trunk(name) for name in NETWORKS}
    nets = {name: network_cost(trunks[name], turns[name], inputs[name], outputs[name]) for name in NETWORKS}
    per_sample = sum(net.forward + net.backward - net.first for net in nets.values())
    # The actor's loss runs phi once more for each of its actions: forward, and back to its input alone.
    energy = network_cost(trunks["phi"], turns["energy"], inputs["phi"], outputs["phi"])
    per_sample += (way.segments if way.actor_all else 1) * (energy.forward + energy.backward // 2)
    if way.halting and not way.actor_all:  # the action at the full depth, and its energy
        per_sample += energy.forward + 2 * trunks["actor"].width * outputs["actor"]
    bound = noise_bound_cost(config, inputs["actor"], outputs["actor"], goal_size, action_size)
    per_sample += bound.flops
    pairs = turns["phi"].heads + way.cross_depth
    halting = sum(trunks[name].width + 1 for name in ("actor", "phi")) if way.halting else 0
    scales = 1 + (config.logit_scale == "learned")  # the temperature's, the logits'
    return Cost(
        parameters=sum(net.parameters for net in nets.values()) + halting + bound.parameters + scales,
        flops_per_update=config.batch_size * per_sample + pairs * 7 * config.batch_size**2 * config.representation,
        flops_per_action=nets["actor"].acting,
    )


@dataclass(frozen=True)
class BoundCost:
    """The bound that trains the actor's noise: parameters of its posterior, and operations per sample of an update."""

    parameters: int = 0
    flops: int = 0


def noise_bound_cost(config: Config, inputs: int, outputs: int, goal_size: int, action_size: int) -> BoundCost:
    """One more pass of the actor, back through its last application alone, where its posterior hears the latent."""
    bound = config.noise_bound()
    if bound is None:
        return BoundCost()
    trunk, law = config.trunk("actor"), config.recurrence()
    w, seen = trunk.width, action_size if bound.kind == "elbo-action" else goal_size
    turn, posterior = application_of(trunk), 8 * w * w
    first, head = 2 * w * (inputs + seen), 2 * w * outputs
    forward = first + head + posterior + round((law.mean if law else trunk.applications) * turn.flops)
    backward = first + 2 * (head + posterior + turn.graded)
    return BoundCost(parameters=seen * w + 3 * w + 4 * w * w + 2 * w, flops=forward + backward)


GRAPH_HOPS = 8
"""Most hops from a candidate to the commanded goal that the score ``graph`` looks at."""


def action_price(config: Config, budget: Budget, state_size: int, goal_size: int, action_size: int) -> Price:
    """Mean price of one action under a budget; what is done once for several steps is spread over them.

    The actor runs at the budget's depth, phi and psi at their own. Samples of one pass share the actor, latent
    trajectories its input layer; all of them share psi. Candidates are planned as `evaluation.budgeted` says: a pass of
    actor and phi for each hop. An energy takes three operations per entry of the representations, as the logits of
    training do. Drawing candidates, noise and what an oracle knows are not counted, nor do sums over candidates count
    as layers.
    """
    own = config.trunk("actor")
    trunk = own if budget.depth is None else replace(own, depth=budget.depth)
    actor = forward_price(trunk, state_size + goal_size, 2 * action_size)
    phi = forward_price(config.trunk("phi"), state_size + action_size, config.representation)
    psi = forward_price(config.trunk("psi"), goal_size, config.representation)
    energy, count = 3 * config.representation, budget.samples or 1
    flops, serial = actor.flops, actor.serial
    if budget.noise:
        flops += (count - 1) * (actor.flops - 2 * trunk.width * (state_size + goal_size))
    if count > 1 and budget.rank == "medoid":
        flops += 3 * count**2 * action_size
    elif count > 1:
        flops += count * (phi.flops + energy) + psi.flops
        serial = max(actor.serial + phi.serial, psi.serial)
    if budget.subgoals:
        m = budget.subgoals
        hops = 2 * m + 1 + (m**2 if budget.score == "graph" else 0)
        plan = hops * (actor.flops + phi.flops + energy) + (m + 1) * psi.flops
        plan += 2 * m**2 * (GRAPH_HOPS - 1) if budget.score == "graph" else 0
        plan += 3 * m**2 * config.representation if budget.pick == "bound" else 0
        if budget.score == "gaussian":
            # psi of where it is; products; two solves, one with a right-hand side per column
            plan += psi.flops + 4 * m * config.representation**2 + round(16 / 3 * config.representation**3)
        flops += plan / budget.replan
        serial += max(actor.serial + phi.serial, psi.serial) / budget.replan
    return Price(flops, serial)


def turns_of(config: Config) -> dict[str, Turns]:
    """Of each network, and of phi's further pass on the actor's actions, ``energy``."""
    law, way = config.recurrence(), config.supervision()
    actor, phi, psi = (config.trunk(name) for name in NETWORKS)
    return {
        "actor": Turns.of(actor, law, way, actor=True),
        "phi": Turns.of(phi, law, way),
        "psi": Turns.of_goals(psi, law, way),
        "energy": Turns.of_energy(phi, law, way),
    }


@dataclass(frozen=True)
class Memory:
    """Bytes that one agent takes.

    Attributes:
      state: parameters, Adam's two moments, and the parameters' average if one is kept.
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


def agent_memory(config: Config, cost: Cost, state_size: int, goal_size: int, action_size: int) -> Memory:
    """Memory of the agent that a configuration describes, whose ``cost`` is known."""
    way, passes = config.supervision(), {"actor": "actor", "phi": "phi", "energy": "phi", "psi": "psi"}
    held = {name: _activations(config.trunk(passes[name]), turns) for name, turns in turns_of(config).items()}
    held["energy"] *= way.segments if way.actor_all else 1
    if config.noise_bound() is not None:
        held["bound"] = _activations(config.trunk("actor"), Turns(1, 1, 1))
    stored = state_size + action_size + 1 + (goal_size if config.final_goals else 0)
    return Memory(
        state=(3 if config.ema is None else 4) * cost.parameters * _FLOAT,
        gradients=cost.parameters * _FLOAT,
        activations=config.batch_size * sum(held.values())
        + 2 * (turns_of(config)["phi"].heads + way.cross_depth) * config.batch_size**2 * _FLOAT,
        replay=config.num_envs * config.replay_steps * stored * _FLOAT,
    )


def _activations(trunk: TrunkConfig, turns: Turns) -> int:
    """Bytes per sample: a latent for each application or group of them, and a normalised product for each layer of
    those at hand."""
    group = group_size(turns.held) if trunk.remat else turns.held
    product = 2 if trunk.precision == "bfloat16" else _FLOAT
    turn = application_of(trunk)
    return (turns.held // group + group) * turn.latent * _FLOAT + group * turn.kept * product


_FLOAT = 4  # bytes
