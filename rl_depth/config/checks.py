"""What values and combinations of options are allowed; every refusal is one line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rl_depth import envs

from .errors import ConfigError
from .options import NETWORKS, Options
from .refusals import nearest, refuse, refuse_changed
from .segments import check_segments
from .specs import MOST_APPLICATIONS, Halt
from .trunk import TrunkConfig


def check(config: Options) -> None:
    """Raise `ConfigError` for the first thing that is wrong with a configuration."""
    shapes = (_check_ranges, _check_sizes, _check_per_seed, _check_trunks, _check_loops, _check_counts, check_segments)
    for one in (*shapes, _check_transition, _check_learning, _check_data, _check_env, _check_collector):
        one(config)


def check_depth(trunk: TrunkConfig, depth: int) -> int:
    """Return a test depth, or raise ``ValueError`` naming what the trunk can act with."""
    layers = trunk.turn_layers
    if depth < layers or depth % layers:
        owner = "the block" if trunk.calls == 1 else "an application"
        raise ValueError(f"depth {depth}: must be a positive multiple of {owner}'s {layers} layers")
    if depth > layers * MOST_APPLICATIONS:
        raise ValueError(f"depth {depth}: must be at most {layers * MOST_APPLICATIONS}")
    if not trunk.tied and depth > trunk.depth:
        raise ValueError(
            f"depth {depth}: this actor is stacked and has {trunk.depth} layers; only a looped one goes deeper"
        )
    return depth


def check_halt(config: Options, halt: Halt) -> Halt:
    """Return a halting rule for the actor, or raise ``ValueError`` naming the bound or the head that it must have.

    A stacked trunk stops at its own depth at the latest, so that only a budget may not lie beyond.
    """
    trunk = config.trunk("actor")
    if halt.rule == "learned" and not config.halting_head:
        raise ValueError("this actor has not learned when to stop; train it with --halting-head")
    bounded = trunk.tied or halt.rule == "budget"
    check_depth(trunk if bounded else replace(trunk, block="looped"), halt.max_depth)
    return halt


_LONGEST_EPISODE = 1_000_000

_AT_LEAST_ONE = [
    "env_steps",
    "seeds",
    "width",
    "block_layers",
    "rounds",
    "representation",
    "actor_width",
    "critic_width",
    "phi_width",
    "psi_width",
    "batch_size",
    "num_envs",
    "unroll",
    "updates",
    "replay_steps",
    "min_replay_steps",
    "evals",
    "eval_episodes",
    "episode_length",
    "checkpoint_every",
    "keep_checkpoints",
]

# What a number must satisfy, and how that is said.
Range = tuple[Callable[[Any], bool], str]
_POSITIVE: Range = (lambda x: 0 < x < math.inf, "must be positive and finite")
_SHARE: Range = (lambda x: 0 <= x <= 1, "must lie between 0 and 1")

# Floats of learning that are traced, and so may differ between the seeds of one program.
PER_SEED: dict[str, Range] = {
    "actor_lr": _POSITIVE,
    "critic_lr": _POSITIVE,
    "temperature_lr": _POSITIVE,
    "logsumexp_penalty": (lambda x: 0 <= x < math.inf, "must be finite and not negative"),
    "target_entropy": (math.isfinite, "must be finite"),
    "gamma": (lambda x: 0 < x < 1, "must lie strictly between 0 and 1"),
}
_RANGES: dict[str, Range] = PER_SEED | {
    "residual_scale": (lambda x: x == "learned" or 0 < x < math.inf, "must be positive and finite, or learned"),
    "step_limit": _POSITIVE,
    "noise_weight": _POSITIVE,
    "noise_kl": (lambda x: 0 <= x < math.inf, "must be finite and not negative"),
    "logit_scale": (lambda x: x == "learned" or 0 < x < math.inf, "must be positive and finite, or learned"),
    "squash_epsilon": (lambda x: 0 < x <= 1, "must lie above 0 and not above 1"),
    "progressive": _SHARE,
    "random_goals": _SHARE,
    "consistency": (lambda x: 0 <= x < math.inf, "must be finite and not negative"),
    "segment_horizon": (lambda x: 1 < x < math.inf, "must be finite and above 1 (segment 1 has gamma 1 - 1 / C)"),
    "ema": (lambda x: 0 < x < 1, "must lie strictly between 0 and 1"),
}


def _check_ranges(config: Options) -> None:
    if config.fast_steps < 0:
        refuse("fast_steps", config.fast_steps, "must not be negative")
    for field in _AT_LEAST_ONE:
        value = getattr(config, field)
        if value is not None and value < 1:
            refuse(field, value, "must be at least 1")
    for field, (allows, allowed) in _RANGES.items():
        value = getattr(config, field)
        if value is not None and not allows(value):
            refuse(field, value, allowed)
    if config.episode_length is not None and config.episode_length > _LONGEST_EPISODE:
        refuse("episode_length", config.episode_length, f"must be at most {_LONGEST_EPISODE}")
    if not 0 <= config.seed < 2**31:
        refuse("seed", config.seed, "must lie in [0, 2^31)")
    if config.seed + config.seeds > 2**31:
        refuse("seeds", config.seeds, "the last seed must lie below 2^31")


_MOST = 2**31 - 1  # what int32 counts to


def _check_sizes(config: Options) -> None:
    """Programs count in int32. What a machine has no memory for is refused where the machine is known."""
    for field in _AT_LEAST_ONE[1:]:
        value = getattr(config, field)
        if value is not None and value > _MOST:
            refuse(field, value, f"must be at most {_MOST}")
    if config.epochs * config.unroll > _MOST:
        refuse("env_steps", config.env_steps, f"each environment would take more than {_MOST} steps")
    if config.num_envs * config.replay_steps > _MOST:
        refuse("replay_steps", config.replay_steps, f"with --num-envs {config.num_envs} more than {_MOST} transitions")
    if config.updates * config.batch_size > _MOST:
        refuse("updates", config.updates, f"with --batch-size {config.batch_size} more than {_MOST} draws in an epoch")


def _check_per_seed(config: Options) -> None:
    for name, values in config.per_seed_values().items():
        if name not in PER_SEED:
            near = difflib.get_close_matches(name, PER_SEED, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"--per-seed {name}: {hint}There are {', '.join(PER_SEED)}")
        if len(values) != config.seeds:
            raise ConfigError(f"--per-seed {name}: has {len(values)} values for --seeds {config.seeds}")
        allows, allowed = PER_SEED[name]
        for value in values:
            if not allows(value):
                raise ConfigError(f"--per-seed {name} {value:g}: {allowed}")
        refuse_changed(config, (name,), f"has no effect beside --per-seed {name}; drop one")


def _check_trunks(config: Options) -> None:
    for network in NETWORKS:
        trunk = config.trunk(network)
        unit = f"--block-layers {trunk.block_layers}"
        if trunk.calls != 1:
            unit = (
                f"the {trunk.turn_layers} layers in an application of the {network} (--rounds {trunk.rounds} x "
                f"(--fast-steps {trunk.fast_steps} + 1) x --block-layers {trunk.block_layers})"
            )
        _check_multiple(config.source(network, "depth"), trunk.depth, trunk.turn_layers, unit)
    for field in ("depth", "actor_depth", "critic_depth", "phi_depth", "psi_depth", "collector_depth"):
        _check_multiple(field, getattr(config, field), config.block_layers, f"--block-layers {config.block_layers}")
    for option in ("block", "depth", "width"):
        given = [getattr(config, f"{owner}_{option}") is not None for owner in ("critic", "phi", "psi")]
        if all(given):
            value = getattr(config, f"critic_{option}")
            refuse(f"critic_{option}", value, f"has no effect beside --phi-{option} and --psi-{option}; drop one")


def _check_multiple(field: str, depth: int | None, layers: int, unit: str) -> None:
    if depth is not None and depth > layers * MOST_APPLICATIONS:
        refuse(field, depth, f"must be at most {layers * MOST_APPLICATIONS}")
    if depth is not None and (depth < layers or depth % layers):
        refuse(field, depth, f"must be a positive multiple of {unit}; {nearest(depth, layers)}")


# What a looped trunk's block and latent can be, and what any trunk that is applied again and again has besides.
_BLOCK_OF_LOOP = ("injection", "latent", "step_conditioning", "step_limit")
_LEVELS = ("fast_steps", "rounds", "tie_levels", "feedback")
_LOOP_ONLY = (*_BLOCK_OF_LOOP, "backprop_steps", "progressive")


def _check_loops(config: Options) -> None:
    trunks = {network: config.trunk(network) for network in NETWORKS}
    kinds = {trunk.block for trunk in trunks.values()}
    if kinds == {"stacked"}:
        refuse_changed(config, _LOOP_ONLY, "only a looped trunk has this; add --block looped")
    elif not kinds & {"looped", "two-level"}:
        refuse_changed(config, _BLOCK_OF_LOOP, "only a looped trunk has this; add --block looped")
    if kinds == {"iru"}:
        refuse_changed(config, ("norm", "residual_scale"), "an iru trunk has no residual block")
    if config.injection == "none" and config.latent != "input" and "looped" in kinds:
        refuse("latent", config.latent, "with --injection none the input would never reach the trunk")
    if "two-level" in kinds:
        _check_levels(config)
    else:
        refuse_changed(config, _LEVELS, "only a two-level trunk has this; add --block two-level")


def _check_transition(config: Options) -> None:
    if config.transition() is not None and config.supervise != "last":
        refuse("noise_transition", config.noise_transition, f"not with --supervise {config.supervise}")
    if config.noise_transition is None:
        refuse_changed(config, ("noise_objective",), "add --noise-transition")
    if config.noise_objective == "none":
        refuse_changed(config, ("noise_weight", "noise_kl"), "add --noise-objective elbo-action or elbo-waypoint")


def _check_levels(config: Options) -> None:
    if config.injection == "none":
        refuse("injection", config.injection, "the levels of a two-level trunk would never hear of each other")
    if config.fast_steps == 0 and not config.tie_levels:
        refuse("fast_steps", 0, "leaves the fast level's own block without a use; add --tie-levels")
    if config.fast_steps == 0 and config.latent != "input":
        refuse("latent", config.latent, "with --fast-steps 0 the input would never reach the trunk")


def _check_counts(config: Options) -> None:
    trunks = {network: config.trunk(network) for network in NETWORKS}
    law = config.recurrence()
    if law is None:
        refuse_changed(config, ("progressive",), "add --train-recurrence")
        if config.supervise != "drawn":
            refuse_changed(config, ("recurrence_draw",), "add --train-recurrence or --supervise drawn")
    most = max(law.largest if law else trunk.applications for trunk in trunks.values())
    if isinstance(config.backprop_steps, int) and not 1 <= config.backprop_steps <= most:
        refuse("backprop_steps", config.backprop_steps, f"must lie in 1 to {most}, the most applications, or be all")
    for network, trunk in trunks.items():
        if law is not None and not trunk.tied and trunk.applications < law.largest:
            refuse(
                "train_recurrence", config.train_recurrence, f"the stacked {network} has {trunk.applications} blocks"
            )
    if config.collect_depth is not None:
        try:
            check_depth(trunks["actor"], config.collect_depth)
        except ValueError as error:
            raise ConfigError(f"--collect-depth: {error}") from None


def _check_learning(config: Options) -> None:
    if config.energy != "cosine":
        refuse_changed(config, ("logit_scale",), "only the cosine energy has bounds to widen; add --energy cosine")


def _check_data(config: Options) -> None:
    if config.min_replay_steps > config.replay_steps:
        refuse(
            "min_replay_steps",
            config.min_replay_steps,
            f"exceeds --replay-steps {config.replay_steps}: never reached",
        )
    if config.unroll > config.replay_steps:
        refuse("unroll", config.unroll, f"exceeds --replay-steps {config.replay_steps}")
    # A goal lies ahead in the same episode: of the newest step of each environment, only the state it led to.
    first = (config.warmup_epochs + 1) * config.unroll
    ready = config.num_envs * (min(first, config.replay_steps) - (not config.final_goals))
    if config.batch_size > ready:
        refuse(
            "batch_size",
            config.batch_size,
            f"the replay buffer holds at most {ready} transitions with a future at the first gradient step; "
            "lower it or raise --num-envs, --unroll or --min-replay-steps",
        )
    if config.batch_size < 2:
        refuse("batch_size", config.batch_size, "a contrastive batch needs at least 2 transitions")
    if config.epochs <= config.warmup_epochs:
        refuse(
            "env_steps",
            config.env_steps,
            f"ends before the first gradient step, at {(config.warmup_epochs + 1) * config.epoch_env_steps} steps",
        )


def _check_env(config: Options) -> None:
    options = config.options_of_env()
    for name, flag in (("split", "--eval-split"), ("backend", "--backend"), ("episode_length", "--episode-length")):
        if name in options:
            refuse("env_options", config.env_options, f"{name} is given by {flag}")
    try:
        envs.check_name(config.env)
    except ValueError as error:
        raise ConfigError(f"--env: {error}") from None


def _check_collector(config: Options) -> None:
    depth = config.collector_depth
    if depth is None:
        return
    if config.train_recurrence is not None:
        refuse("collector_depth", depth, "with --train-recurrence collector and learner would train at the same counts")
    if config.collect_depth is not None:
        refuse("collect_depth", config.collect_depth, f"data is collected at --collector-depth {depth}; drop one")
    try:
        config.collector()
    except ConfigError as error:
        raise ConfigError(f"--collector-depth {depth}: its agent cannot be: {error}") from None
