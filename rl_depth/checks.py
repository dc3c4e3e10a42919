"""What values and combinations of options are allowed; every refusal is one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import envs

if TYPE_CHECKING:
    from .config import Config, TrunkConfig

NETWORKS = ("actor", "phi", "psi")


class ConfigError(ValueError):
    """A bad option; the message is one line that names the option, its value and what is allowed."""


def check(config: Config) -> None:
    """Raise `ConfigError` for the first thing that is wrong with a configuration."""
    parts = (_check_ranges, _check_trunks, _check_loops, _check_counts, _check_data, _check_env, _check_collector)
    for one in parts:
        one(config)


def check_depth(trunk: TrunkConfig, depth: int) -> int:
    """Return a test depth, or raise ``ValueError`` naming what the trunk can act with."""
    layers = trunk.block_layers
    if depth < layers or depth % layers:
        raise ValueError(f"depth {depth}: must be a positive multiple of the block's {layers} layers")
    if trunk.block == "stacked" and depth > trunk.depth:
        raise ValueError(
            f"depth {depth}: this actor is stacked and has {trunk.depth} layers; only a looped one goes deeper"
        )
    return depth


def option_name(field: str) -> str:
    """The flag of a field: ``batch_size -> --batch-size``."""
    return "--" + field.replace("_", "-")


def _refuse(field: str, value: Any, allowed: str) -> None:
    raise ConfigError(f"{option_name(field)} {value}: {allowed}")


def _refuse_changed(config: Config, fields: Sequence[str], allowed: str) -> None:
    for field in fields:
        if getattr(config, field) != config.__dataclass_fields__[field].default:
            _refuse(field, getattr(config, field), allowed)


_AT_LEAST_ONE = [
    "env_steps",
    "seeds",
    "width",
    "block_layers",
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
    "checkpoint_every",
    "keep_checkpoints",
]
_POSITIVE = ["actor_lr", "critic_lr", "temperature_lr", "residual_scale", "step_limit"]


def _check_ranges(config: Config) -> None:
    for field in _AT_LEAST_ONE:
        value = getattr(config, field)
        if value is not None and value < 1:
            _refuse(field, value, "must be at least 1")
    for field in _POSITIVE:
        value = getattr(config, field)
        if value is not None and not 0 < value < math.inf:
            _refuse(field, value, "must be positive and finite")
    checks = {
        "seed": (0 <= config.seed < 2**31, "must lie in [0, 2^31)"),
        "seeds": (config.seed + config.seeds <= 2**31, "the last seed must lie below 2^31"),
        "logsumexp_penalty": (0 <= config.logsumexp_penalty < math.inf, "must be finite and not negative"),
        "progressive": (0 <= config.progressive <= 1, "must lie between 0 and 1"),
        "random_goals": (0 <= config.random_goals <= 1, "must lie between 0 and 1"),
        "gamma": (0 < config.gamma < 1, "must lie strictly between 0 and 1"),
        "target_entropy": (math.isfinite(config.target_entropy), "must be finite"),
    }
    for field, (good, allowed) in checks.items():
        if not good:
            _refuse(field, getattr(config, field), allowed)


def _check_trunks(config: Config) -> None:
    layers = config.block_layers
    for field in ("depth", "actor_depth", "critic_depth", "phi_depth", "psi_depth", "collector_depth"):
        depth = getattr(config, field)
        if depth is None or (depth >= layers and depth % layers == 0):
            continue
        below = depth // layers * layers
        nearest = [str(d) for d in (below, below + layers) if d >= layers] or [str(layers)]
        _refuse(
            field,
            depth,
            f"must be a positive multiple of --block-layers {layers}; nearest: {' or '.join(nearest)}",
        )
    for option in ("block", "depth", "width"):
        given = [getattr(config, f"{owner}_{option}") is not None for owner in ("critic", "phi", "psi")]
        if all(given):
            value = getattr(config, f"critic_{option}")
            _refuse(f"critic_{option}", value, f"has no effect beside --phi-{option} and --psi-{option}; drop one")


_LOOP_ONLY = ("injection", "latent", "step_conditioning", "step_limit", "backprop_steps", "progressive")


def _check_loops(config: Config) -> None:
    trunks = {network: config.trunk(network) for network in NETWORKS}
    if all(trunk.block == "stacked" for trunk in trunks.values()):
        _refuse_changed(config, _LOOP_ONLY, "only a looped trunk has this; add --block looped")
    if config.injection == "none" and config.latent != "input":
        _refuse("latent", config.latent, "with --injection none the input would never reach the trunk")


def _check_counts(config: Config) -> None:
    trunks = {network: config.trunk(network) for network in NETWORKS}
    law = config.recurrence()
    if law is None:
        _refuse_changed(config, ("recurrence_draw", "progressive"), "add --train-recurrence")
    most = max(law.largest if law else trunk.applications for trunk in trunks.values())
    if config.backprop_steps != "all" and not 1 <= config.backprop_steps <= most:
        _refuse("backprop_steps", config.backprop_steps, f"must lie in 1 to {most}, the most applications, or be all")
    for network, trunk in trunks.items():
        if law is not None and trunk.block == "stacked" and trunk.applications < law.largest:
            _refuse(
                "train_recurrence", config.train_recurrence, f"the stacked {network} has {trunk.applications} blocks"
            )
    if config.collect_depth is not None:
        try:
            check_depth(trunks["actor"], config.collect_depth)
        except ValueError as error:
            raise ConfigError(f"--collect-depth: {error}") from None


def _check_data(config: Config) -> None:
    if config.min_replay_steps > config.replay_steps:
        _refuse(
            "min_replay_steps",
            config.min_replay_steps,
            f"exceeds --replay-steps {config.replay_steps}: never reached",
        )
    if config.unroll > config.replay_steps:
        _refuse("unroll", config.unroll, f"exceeds --replay-steps {config.replay_steps}")
    # A goal lies ahead in the same episode, so the newest step of each environment is never trained on.
    first = (config.warmup_epochs + 1) * config.unroll
    ready = config.num_envs * (min(first, config.replay_steps) - 1)
    if config.batch_size > ready:
        _refuse(
            "batch_size",
            config.batch_size,
            f"the replay buffer holds at most {ready} transitions with a future at the first gradient step; "
            "lower it or raise --num-envs, --unroll or --min-replay-steps",
        )
    if config.batch_size < 2:
        _refuse("batch_size", config.batch_size, "a contrastive batch needs at least 2 transitions")
    if config.epochs <= config.warmup_epochs:
        _refuse(
            "env_steps",
            config.env_steps,
            f"ends before the first gradient step, at {(config.warmup_epochs + 1) * config.epoch_env_steps} steps",
        )


def _check_env(config: Config) -> None:
    config.options_of_env()
    try:
        envs.check_name(config.env)
    except ValueError as error:
        raise ConfigError(f"--env: {error}") from None


def _check_collector(config: Config) -> None:
    depth = config.collector_depth
    if depth is None:
        return
    if config.train_recurrence is not None:
        _refuse(
            "collector_depth", depth, "with --train-recurrence collector and learner would train at the same counts"
        )
    if config.collect_depth is not None:
        _refuse("collect_depth", config.collect_depth, f"data is collected at --collector-depth {depth}; drop one")
    try:
        config.collector()
    except ConfigError as error:
        raise ConfigError(f"--collector-depth {depth}: its agent cannot be: {error}") from None
