"""The textbook update: layers unrolled in Python, and for each of three losses a gradient and an optimizer.

`rl-depth bench` measures against it and the equality tests take it as their oracle, so it is written to be read and
shares nothing with `networks` and `agent` but the losses. Axes: ``B`` batch, ``X`` state, ``G`` goal, ``A`` action,
``W`` width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from ..agents import Batch, Hyper, losses
from ..config import NETWORKS, Config, TrunkConfig

Params = dict[str, Any]
Latents = list[jax.Array]  # the one that the head reads stands first

_LOSSES = ("actor", "critic", "temperature")
_ADAM = optax.scale_by_adam()
_KERNEL = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class ReferenceState(flax.struct.PyTreeNode):
    """Parameters as in `agent.AgentState`, but the blocks of each trunk in a list, and three optimizer states."""

    params: Params
    optimizers: dict[str, optax.OptState]


@dataclass(frozen=True)
class Reference:
    """The agent of a configuration without ``train_recurrence``, for actions of ``action_size`` entries."""

    config: Config
    action_size: int

    def init(self, key: jax.Array, state_size: int, goal_size: int) -> ReferenceState:
        """A fresh agent of plain stacked trunks, made layer by layer as Flax does without `jax.jit`."""
        config, params = self.config, {}
        sizes = {"actor": state_size + goal_size, "phi": state_size + self.action_size, "psi": goal_size}
        for name, own_key in zip(NETWORKS, jax.random.split(key, len(NETWORKS)), strict=True):
            trunk = config.trunk(name)
            out = 2 * self.action_size if name == "actor" else config.representation
            made = _Layers(trunk, out).init(own_key, jnp.ones((1, sizes[name])))["params"]
            hidden = [
                {"kernel": dense["kernel"][None], "bias": dense["bias"][None]}
                | {"scale": norm["scale"][None], "shift": norm["bias"][None]}
                for dense, norm in ((made[f"Dense_{i}"], made[f"LayerNorm_{i}"]) for i in range(trunk.depth + 1))
            ]
            groups = [hidden[1 + i : 1 + i + trunk.block_layers] for i in range(0, trunk.depth, trunk.block_layers)]
            blocks = [{"layers": jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *group)} for group in groups]
            params[name] = {"input": hidden[0], "trunk": {"blocks": blocks}, "head": made["head"]}
        params["log_temperature"] = jnp.zeros(())
        if config.logit_scale == "learned":
            params["log_logit_scale"] = jnp.log(jnp.float32(losses.FIRST_LOGIT_SCALE))
        return self._state(params)

    def create(self, params: Params) -> ReferenceState:
        """From an agent's parameters."""
        return self._state(
            {
                name: _unstacked(self.config.trunk(name), own) if name in NETWORKS else own
                for name, own in params.items()
            }
        )

    def _state(self, params: Params) -> ReferenceState:
        parts = _parts(params)
        return ReferenceState(params, {name: _ADAM.init(parts[name]) for name in _LOSSES})

    def update(
        self,
        state: ReferenceState,
        batch: Batch,
        hyper: Hyper,
        key: jax.Array,
        segment: int | None = None,
        pair: tuple[int, int] | None = None,
    ) -> ReferenceState:
        """One step of each optimizer, all at the parameters before it.

        ``key`` draws the actions; ``segment`` and ``pair`` are the segments that were drawn, from 1 and from 0.
        """
        params, parts = state.params, _parts(state.params)
        rates = {"actor": hyper.actor_lr, "critic": hyper.critic_lr, "temperature": hyper.temperature_lr}
        actor_grad, log_prob = jax.grad(self.actor_loss, has_aux=True)(parts["actor"], params, batch, key, segment)
        grads = {
            "actor": actor_grad,
            "critic": jax.grad(self.critic_loss)(parts["critic"], batch, hyper, segment, pair),
            "temperature": jax.grad(self.temperature_loss)(parts["temperature"], log_prob, hyper),
        }
        optimizers = {}
        for name in _LOSSES:
            step, optimizers[name] = _ADAM.update(grads[name], state.optimizers[name])
            parts[name] = jax.tree.map(lambda p, d, rate=rates[name]: p - rate * d, parts[name], step)
        new = {"actor": parts["actor"], **parts["critic"], "log_temperature": parts["temperature"]}
        if "log_logit_scale" in new:
            new["log_logit_scale"] = jnp.minimum(new["log_logit_scale"], jnp.log(losses.MOST_LOGIT_SCALE))
        return ReferenceState(new, optimizers)

    def critic_loss(
        self,
        critic: Params,
        batch: Batch,
        hyper: Hyper,
        segment: int | None = None,
        pair: tuple[int, int] | None = None,
    ) -> jax.Array:
        """The contrastive loss of both encoders, at the end or at every segment, and what is asked of them besides."""
        way = self.config.supervision()
        phi = self._ends("phi", critic["phi"], jnp.concatenate([batch.state, batch.action], -1), segment)
        if batch.segment_goals is not None and way.kind == "all":
            goals = [batch.segment_goals[:, s] for s in range(way.segments)]
            psi = [self._ends("psi", critic["psi"], own)[s] for s, own in enumerate(goals)]
        else:
            psi = self._ends("psi", critic["psi"], self._goal(batch, segment), segment)

        def contrast(a: End, b: End) -> tuple[jax.Array, jax.Array]:
            logits = self._energy(critic, a.output[:, None], b.output[None])
            return losses.contrastive_loss(self.config.loss, logits, hyper.logsumexp_penalty)[0], logits

        found = [contrast(a, b) for a, b in zip(phi, psi, strict=True)]
        loss = jnp.asarray(sum(weight * own for weight, (own, _) in zip(self._weights(), found, strict=True)))
        if way.cross_depth:
            assert pair is not None
            loss += contrast(phi[pair[0]], psi[pair[1]])[0]
        if way.consistency:
            assert segment is not None
            loss += way.consistency * sum(_apart(net[segment - 1].read, net[-1].read) for net in (phi, psi))
        if way.halting:
            for end, (_, logits) in zip(phi, found, strict=True):
                right = jnp.argmax(logits, 1) == jnp.arange(len(logits))
                p = jax.nn.sigmoid(self._halt(critic["phi"], end.read))
                loss -= jnp.mean(jnp.where(right, jnp.log(p), jnp.log(1 - p))) / len(phi)
        return loss

    def actor_loss(
        self, actor: Params, params: Params, batch: Batch, key: jax.Array, segment: int | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The actor's loss, and the log densities ``[B]`` or ``[S, B]`` of the actions that it drew."""
        way = self.config.supervision()
        goal = self._mixed(self._goal(batch, segment))
        inputs = jnp.concatenate([batch.state, goal], -1)
        ends = here = self._ends("actor", actor, inputs, segment)
        if way.kind == "all" and not way.actor_all:
            assert segment is not None
            here = [ends[segment - 1]]
        epsilon = self.config.squash_epsilon
        action, log_prob = losses.sample_action(jnp.stack([end.output for end in here]), key, epsilon)
        if not way.actor_all:  # one draw of the noise, whatever the segment
            action, log_prob = (part[None] for part in losses.sample_action(here[0].output, key, epsilon))
        critic_end = segment if way.kind == "drawn" else None
        psi = self._ends("psi", params["psi"], goal, critic_end)[-1].output

        def energy(chosen: jax.Array) -> jax.Array:
            # Gradients reach the action through the whole of phi, not through its last segment alone.
            phi = self._ends("phi", params["phi"], jnp.concatenate([batch.state, chosen], -1), critic_end, whole=True)
            return self._energy(params, phi[-1].output, psi)

        reached = [energy(own) for own in action]
        temperature = jnp.exp(params["log_temperature"])
        weights = self._weights() if way.actor_all else [1.0]
        parts = zip(weights, log_prob, reached, strict=True)
        loss = jnp.asarray(sum(weight * losses.actor_loss(own, its, temperature)[0] for weight, own, its in parts))
        if way.consistency:
            assert segment is not None
            loss += way.consistency * _apart(ends[segment - 1].read, ends[-1].read)
        if way.halting:
            whole = ends if way.kind == "all" else self._ends("actor", actor, inputs)
            last = energy(action[-1] if way.actor_all else losses.sample_action(whole[-1].output, key)[0])
            for end, its in zip(here, reached, strict=True):
                gain = jax.lax.stop_gradient(last - its)
                loss += jnp.mean((self._halt(actor, end.read) - gain) ** 2) / len(here)
        return loss, log_prob if way.actor_all else log_prob[0]

    def temperature_loss(self, log_temperature: jax.Array, log_prob: jax.Array, hyper: Hyper) -> jax.Array:
        """The temperature's loss."""
        return losses.temperature_loss(log_temperature, log_prob, hyper.target_entropy * self.action_size)[0]

    def _energy(self, params: Params, phi: jax.Array, psi: jax.Array) -> jax.Array:
        """The energy times its scale."""
        scale = self.config.logit_scale
        factor = jnp.exp(params["log_logit_scale"]) if scale == "learned" else scale
        return factor * losses.energy(self.config.energy, phi, psi)

    def _goal(self, batch: Batch, segment: int | None) -> jax.Array:
        """The batch's goals, or those of a drawn segment where the critic is supervised there alone."""
        if batch.segment_goals is None or self.config.supervise == "all":
            return batch.goal
        assert segment is not None
        return batch.segment_goals[:, segment - 1]

    def _mixed(self, goal: jax.Array) -> jax.Array:
        """The actor's goals, a share of which belongs to the next transition."""
        count = round(self.config.random_goals * len(goal))
        if not count:
            return goal
        return jnp.concatenate([jnp.roll(goal, -1, axis=0)[:count], goal[count:]])

    def _weights(self) -> list[float]:
        """Weights of the losses at the ends that `_ends` returns."""
        way = self.config.supervision()
        return list(way.weights) if way.kind == "all" else [1.0]

    def _halt(self, params: Params, read: jax.Array) -> jax.Array:
        """The halting head."""
        return jax.lax.stop_gradient(read) @ params["halt_weights"] + params["halt_bias"]

    def _ends(
        self, name: str, params: Params, inputs: jax.Array, segment: int | None = None, whole: bool = False
    ) -> list[End]:
        """What a network says where it is supervised: at the end of each segment, or at that of the drawn one, or last.

        Only the last ``backprop_steps`` applications before an end carry gradients, and where all segments are
        supervised only that segment's, unless the ``whole`` trunk is run for its end.
        """
        way, trunk = self.config.supervision(), self.config.trunk(name)
        each, stops = trunk.applications // way.segments, trunk.applications
        if way.kind == "drawn" and segment is not None:
            stops = segment * each
        every = way.kind == "all" and not whole
        stretch = each if every else stops
        graded = min(stretch, trunk.window or stretch)
        held, ends = jax.lax.stop_gradient, []
        x = _hidden(params["input"], 0, inputs)
        h = _start(trunk, params["trunk"], x)
        for i in range(stops):
            h = held(h) if every and i and i % each == 0 else h
            heard = x
            if trunk.feedback and i > 0:
                heard = x + jnp.tanh(_dense(params["head"], h[0])) @ params["feedback"]
            total = stops if way.kind != "all" else trunk.applications
            h = _apply(trunk, params["trunk"]["blocks"], h, heard, i, total)
            h = held(h) if i % stretch < stretch - graded else h
            if i % stretch == stretch - 1:
                ends.append(End(_dense(params["head"], h[0]), h[0]))
        return ends


class End(NamedTuple):
    """Where a network is supervised."""

    output: jax.Array  # [B, O]
    read: jax.Array  # [B, W]: what its head read


def _apart(here: jax.Array, last: jax.Array) -> jax.Array:
    """Mean squared distance of vectors of mean 0 and variance 1 from the last ones, which are held."""
    a, b = ((x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6) for x in (here, last))
    return jnp.mean((a - jax.lax.stop_gradient(b)) ** 2)


class _Layers(nn.Module):
    """A network with every layer a module of its own."""

    trunk: TrunkConfig
    out: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def hidden(y: jax.Array) -> jax.Array:
            return nn.swish(nn.LayerNorm()(nn.Dense(self.trunk.width, kernel_init=_KERNEL)(y)))

        h = hidden(x)
        for _ in range(self.trunk.applications):
            y = h
            for _ in range(self.trunk.block_layers):
                y = hidden(y)
            h = h + y
        return nn.Dense(self.out, kernel_init=_KERNEL, name="head")(h)


def _parts(params: Params) -> dict[str, Any]:
    """What each loss trains."""
    critic = {name: params[name] for name in ("phi", "psi", "log_logit_scale") if name in params}
    return {"actor": params["actor"], "critic": critic, "temperature": params["log_temperature"]}


def _start(trunk: TrunkConfig, params: Params, x: jax.Array) -> Latents:
    """The latents before the first application."""
    count = 2 if trunk.block in ("two-level", "iru") else 1
    if trunk.latent == "learned":
        return list(jnp.broadcast_to(part, x.shape) for part in jnp.split(params["start"], count))
    return [{"zero": jnp.zeros_like(x), "input": x}[trunk.latent]] * count


def _apply(trunk: TrunkConfig, blocks: list[Params], h: Latents, x: jax.Array, i: int, total: int) -> Latents:
    """The ``i``-th application of ``total``."""
    phase = jnp.array([i, 1]) / total
    if trunk.block == "iru":
        return _iru(trunk, blocks[0], h, x)
    if trunk.block != "two-level":
        return [_block(trunk, blocks[0 if trunk.tied else i], h[0], x, phase)]
    high, low = h
    for turn in range(trunk.rounds):
        last = turn == trunk.rounds - 1
        for step in range(trunk.fast_steps):
            low = _block(trunk, blocks[-1], low, high + x, phase)
            if trunk.one_step and not (last and step == trunk.fast_steps - 1):
                low = jax.lax.stop_gradient(low)
        high = _block(trunk, blocks[0], high, low, phase)
        if trunk.one_step and not last:
            high, low = jax.lax.stop_gradient((high, low))
    return [high, low]


def _block(trunk: TrunkConfig, params: Params, h: jax.Array, x: jax.Array, phase: jax.Array) -> jax.Array:
    """One residual unit; ``phase`` is time and step size."""
    y = _norm(params["pre_norm"], h) if trunk.norm == "pre" else h
    if trunk.injection == "add":
        y = y + x
    elif trunk.injection == "concat":
        y = _dense(params["inject"], jnp.concatenate([y, x], -1))
    if trunk.step_conditioning:
        y = y + _dense(params["condition"], phase)
    for i in range(trunk.block_layers):
        y = _hidden(params["layers"], i, y)
    step = (params["residual_scale"] if trunk.residual_scale == "learned" else trunk.residual_scale) * y
    if trunk.step_limit is not None:
        size = jnp.sqrt(1 + jnp.mean(h**2, -1, keepdims=True))
        length = jnp.sqrt(jnp.mean(step**2, -1, keepdims=True) + 1e-12)
        step = step * jnp.minimum(1.0, trunk.step_limit * size / length)
    return _norm(params["post_norm"], h + step) if trunk.norm == "post" else h + step


def _iru(trunk: TrunkConfig, cells: Params, latents: Latents, x: jax.Array) -> Latents:
    """An interpolating recurrent unit (arXiv 2602.05999)."""
    before, c = latents
    h = before
    for i in range(trunk.block_layers):
        norm, forget, propose = (
            jax.tree.map(lambda leaf, i=i: leaf[i], cells[name]) for name in ("norm", "forget", "propose")
        )
        u = _norm({"scale": norm["scale"], "bias": norm["shift"]}, jnp.concatenate([x, h], -1))
        f = jax.nn.sigmoid(_dense(forget, u))
        c = f * c + (1 - f) * jnp.tanh(_dense(propose, u))
        h = jnp.tanh(c)
    return [before + h, c]


def _hidden(params: Params, i: int, x: jax.Array) -> jax.Array:
    """Dense, LayerNorm, swish."""
    y = _norm({"scale": params["scale"][i], "bias": params["shift"][i]}, x @ params["kernel"][i] + params["bias"][i])
    return y * jax.nn.sigmoid(y)


def _dense(params: Params, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def _norm(params: Params, x: jax.Array) -> jax.Array:
    """LayerNorm as Flax has it."""
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x**2, -1, keepdims=True) - mean**2
    return (x - mean) * jax.lax.rsqrt(jnp.maximum(variance, 0) + 1e-6) * params["scale"] + params["bias"]


def _tied(trunk: TrunkConfig) -> tuple[str, ...]:
    """Names of the weights that all applications share."""
    if trunk.block == "two-level" and not trunk.tie_levels:
        return ("slow", "fast")
    return ("cells",) if trunk.block == "iru" else ("block",)


def _unstacked(trunk: TrunkConfig, params: Params) -> Params:
    """A network's parameters with its blocks in a list: one for each application, or those that all share."""
    own = dict(params["trunk"])
    if trunk.tied:
        listed = [own.pop(name) for name in _tied(trunk)]
    else:
        blocks = own.pop("blocks")
        listed = [jax.tree.map(lambda leaf, i=i: leaf[i], blocks) for i in range(trunk.applications)]
    return {**params, "trunk": {**own, "blocks": listed}}


def restacked(trunk: TrunkConfig, params: Params) -> Params:
    """A network's parameters as the agent has them, from those of `ReferenceState`."""
    own = dict(params["trunk"])
    blocks = own.pop("blocks")
    if trunk.tied:
        own |= dict(zip(_tied(trunk), blocks, strict=True))
    else:
        own["blocks"] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
    return {**params, "trunk": own}
