"""What happens inside a looped agent beyond the depths it was trained at.

Axes: ``S`` seeds, ``D`` test depths, ``R`` applications, ``B`` held-out transitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import runs
from ..agents import Batch, losses
from ..device import physics_options
from ..networks.block import applied
from ..networks.network import Network
from ..training import replay, rollout
from ..training.acting import Plain
from .policy import Policy, Which, load

_ENVS = 32  # environments that held-out episodes are collected in
_TINY = 1e-12


@dataclass(frozen=True)
class HeldOut:
    """Transitions of fresh episodes with goals reached later in them; never trained on."""

    batches: Batch  # leaves [N, B, ...]

    @classmethod
    def collect(cls, policy: Policy, batches: int, seed: int) -> HeldOut:
        """Run the agent as training does, drawing its actions at the depth that collects, in the training split."""
        env, config = policy.env, policy.config

        depth = None if config.collect_depth is None else jnp.int32(config.collect_depth)

        def run(params: dict[str, Any], key: jax.Array) -> Batch:
            start_key, step_key, pick_key = jax.random.split(key, 3)

            def act(state: jax.Array, goal: jax.Array, key: jax.Array) -> jax.Array:
                return policy.agent.act(params, state, goal, key, depth)

            begun = rollout.start(env, Plain(act), _ENVS, start_key)
            beyond = config.final_goals
            _, steps = rollout.collect(env, Plain(act), begun, env.episode_length, step_key, beyond)
            sizes = (env.state_size, env.action_size, env.goal_size if beyond else None)
            empty = replay.create(env.episode_length, _ENVS, *sizes)
            kept = replay.insert(empty, steps)
            picks = replay.sample(kept, jnp.float32(config.goal_gamma), config.batch_size, batches, pick_key)
            row, goal_row, copy = picks
            return Batch(
                state=kept.state[row, copy],
                action=kept.action[row, copy],
                goal=replay.goals(kept, env.achieved_goal, goal_row, copy),
            )

        key = jax.random.fold_in(jax.random.key(seed), 1)
        return cls(jax.jit(run, compiler_options=physics_options(env))(policy.params, key))


def critic_by_depth(policy: Policy, held_out: HeldOut, depths: list[int]) -> dict[str, np.ndarray]:
    """Categorical accuracy and InfoNCE (nats) of the critic, both encoders at each test depth: ``[D]`` each."""
    agent = policy.agent

    @jax.jit
    def measure(params: dict[str, Any], batches: Batch, depth: jax.Array) -> dict[str, jax.Array]:
        def one(batch: Batch) -> dict[str, jax.Array]:
            phi, psi = agent.encode(params, batch, depth)
            logits = agent.logits(params, phi, psi)
            _, metrics = losses.contrastive_loss(agent.loss, logits, jnp.float32(0.0))
            return {name: metrics[name] for name in ("categorical_accuracy", "infonce")}

        return jax.tree.map(jnp.mean, jax.lax.map(one, batches))

    rows = [jax.device_get(measure(policy.params, held_out.batches, jnp.int32(depth))) for depth in depths]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


HALTING = ("foreseen", "halted_accuracy", "halted_depth")


def critic_halting(policy: Policy, held_out: HeldOut, depths: list[int]) -> dict[str, np.ndarray]:
    """What phi's halting head knows at each test depth, ``[D]`` each; nothing if it has none.

    ``foreseen``: mean probability that it gives to the positive's being ranked first, to be held against the
    categorical accuracy. ``halted_accuracy`` and ``halted_depth``: of a critic that stops, pair by pair, at the first
    of the test depths where that probability exceeds one half, as TRM does, and at this one at the latest.
    """
    if not policy.config.halting_head:
        return {}

    @jax.jit
    def measure(params: dict[str, Any], batches: Batch, depth: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(batch: Batch) -> tuple[jax.Array, jax.Array]:
            phi, psi = policy.agent.encode(params, batch, depth)
            logits = policy.agent.logits(params, phi, psi)
            inputs = jnp.concatenate([batch.state, batch.action], axis=-1)
            foreseen = applied(policy.agent.phi, params["phi"], Network.foresee, inputs, depth)
            return foreseen, jnp.argmax(logits, axis=1) == jnp.arange(len(logits))

        return jax.lax.map(one, batches)

    found = [jax.device_get(measure(policy.params, held_out.batches, jnp.int32(depth))) for depth in depths]
    foreseen, right = (np.stack([own.ravel() for own in parts]) for parts in zip(*found, strict=True))  # [D, N]
    return halted(np.array(depths), foreseen, right)


def halted(depths: np.ndarray, foreseen: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """See `critic_halting`; from the halting head's outputs and whether the positive is first, ``[D, N]`` each."""
    rows: dict[str, list[float]] = {name: [] for name in HALTING}
    for last in range(len(depths)):
        stops = np.concatenate([foreseen[:last] > 0, np.ones_like(foreseen[:1], bool)])
        at = stops.argmax(axis=0)
        rows["foreseen"].append(float(np.mean(1 / (1 + np.exp(-foreseen[last])))))
        rows["halted_accuracy"].append(float(np.mean(right[at, np.arange(right.shape[1])])))
        rows["halted_depth"].append(float(np.mean(depths[at])))
    return {name: np.array(values) for name, values in rows.items()}


def latents_by_count(policy: Policy, held_out: HeldOut, count: int) -> dict[str, np.ndarray]:
    """How the actor's latent moves, means over a held-out batch: ``[count]`` each.

    ``step``: ``||h_{r+1} - h_r|| / ||h_r||``; ``angle``: between consecutive steps (degrees; the first has
    none, NaN); ``size``: ``||h_{r+1}||`` relative to ``||h_1||``; ``two_starts``: distance between the latents
    from two unlike starts, relative to their size, which vanishes where the loop forgets its start (path
    independence, Anil et al. 2022, arXiv 2211.09961).
    """
    batch = jax.tree.map(lambda leaf: leaf[0], held_out.batches)
    inputs = jnp.concatenate([batch.state, batch.goal], axis=-1)
    net = policy.agent.actor
    run = jax.jit(partial(_moves, net, count=count))
    return {name: np.asarray(values) for name, values in run(policy.params["actor"], inputs).items()}


def _moves(net: Network, params: Any, inputs: jax.Array, count: int) -> dict[str, jax.Array]:
    def trace(start: jax.Array | None) -> jax.Array:
        return applied(net, params, Network.latents, inputs, count, start)

    h = trace(None)
    # As large as the latent is after one application, for a loop may start from zero.
    noise = jax.random.normal(jax.random.key(1), h.shape[1:])
    other = trace(noise * (_length(h[1]) / _length(noise))[:, None])
    steps = h[1:] - h[:-1]
    cosine = jnp.sum(steps[1:] * steps[:-1], -1) / (_length(steps[1:]) * _length(steps[:-1]) + _TINY)
    angle = jnp.rad2deg(jnp.arccos(jnp.clip(cosine, -1, 1))).mean(-1)
    return {
        "step": (_length(steps) / (_length(h[:-1]) + _TINY)).mean(-1),
        "angle": jnp.concatenate([jnp.full(1, jnp.nan), angle]),
        "size": (_length(h[1:]) / (_length(h[1]) + _TINY)).mean(-1),
        "two_starts": (_length(h[1:] - other[1:]) / (_length(h[1:]) + _TINY)).mean(-1),
    }


def _length(vectors: jax.Array) -> jax.Array:
    return jnp.linalg.norm(vectors, axis=-1)


def probe(
    run: runs.Run,
    depths: list[int],
    *,
    batches: int = 8,
    seed: int = 0,
    which: Which = Which(),  # noqa: B008 - frozen
) -> dict[str, np.ndarray]:
    """All of the above for each of a run's agents: ``critic``'s metrics ``[S, D]``, latents' ``[S, R]``."""
    config = which.of(run)
    rows = []
    for agent_seed in range(config.seed, config.seed + config.seeds):
        policy = load(run, agent_seed, epoch=which.epoch)
        held_out = HeldOut.collect(policy, batches, seed)
        count = max(depths) // policy.agent.actor.trunk_config.turn_layers
        critic = critic_by_depth(policy, held_out, depths) | critic_halting(policy, held_out, depths)
        rows.append(critic | latents_by_count(policy, held_out, count))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
