"""What tells configurations apart, and how it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from rl_depth.config import Config

NETWORKS = ("actor", "phi", "psi")
_SHAPES = ("block", "depth", "width")

# Options that change nothing about an agent: runs that differ in them belong together.
_BOOKKEEPING = {
    "seed",
    "seeds",
    "per_seed",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_best",
    "checkpoint_replay",
    "remat",
}
# What `Config.trunk` resolves; compared as resolved, so that an option given in two ways is one.
_RESOLVED = {*_SHAPES, *(f"{owner}_{shape}" for owner in (*NETWORKS, "critic") for shape in _SHAPES)}
LOOP_ONLY = {
    "train_recurrence",
    "recurrence_draw",
    "backprop_steps",
    "progressive",
    "injection",
    "latent",
    "step_conditioning",
    "step_limit",
    "fast_steps",
    "rounds",
    "tie_levels",
    "feedback",
}
ARCHITECTURE = {*_RESOLVED, *LOOP_ONLY, "block_layers", "norm", "residual_scale", "collect_depth"}
"""Options of the trunks; all others say how an agent is trained."""


def options(config: Config) -> dict[str, Any]:
    """What makes an agent, networks resolved: ``actor depth`` and so on instead of what they inherit from."""
    names = [field.name for field in fields(Config) if field.name not in _BOOKKEEPING | _RESOLVED]
    found = {name: getattr(config, name) for name in names}
    for network in NETWORKS:
        trunk = config.trunk(network)
        found |= {f"{network} {shape}": getattr(trunk, shape) for shape in _SHAPES}
    return found


def depth_label(depths: Sequence[int]) -> str:
    """``depth 8``, or ``actor depth 4, critic depth 8``, or all three, for depths of actor, phi and psi."""
    actor, phi, psi = depths
    if phi != psi:
        return f"actor depth {actor}, phi depth {phi}, psi depth {psi}"
    return f"depth {actor}" if actor == phi else f"actor depth {actor}, critic depth {phi}"


def _counts(config: Config) -> bool:
    """Whether options of loops mean anything: a network is one, or draws how many of its blocks it applies."""
    return config.train_recurrence is not None or any(config.trunk(n).tied for n in NETWORKS)


def majority(config: Config, shape: str) -> Any:
    """Block or width that most of the networks have."""
    return Counter(getattr(config.trunk(network), shape) for network in NETWORKS).most_common(1)[0][0]


Extras = tuple[tuple[str, str], ...]


def extras_of(configs: Sequence[Config]) -> list[Extras]:
    """Per configuration, option and value of what differs within its environment besides block and depth."""
    every = [options(config) for config in configs]
    found = []
    for config, own in zip(configs, every, strict=True):
        near = [other for other, its in zip(every, configs, strict=True) if its.env == config.env]
        loops = [o for o, its in zip(every, configs, strict=True) if its.env == config.env and _counts(its)]
        parts = _shape_extras(config, near)
        for name, value in own.items():
            if " " in name or value is None or (name in LOOP_ONLY and not _counts(config)):
                continue
            if any(other[name] != value for other in (loops if name in LOOP_ONLY else near)):
                parts.append((name.replace("_", " "), str(value)))
        found.append(tuple(parts))
    return found


def _shape_extras(config: Config, near: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Width, and blocks and widths of single networks that differ from most, where they differ between groups."""
    parts = []
    for shape in ("block", "width"):
        if len({tuple(other[f"{network} {shape}"] for network in NETWORKS) for other in near}) == 1:
            continue
        usual = majority(config, shape)
        own = {network: getattr(config.trunk(network), shape) for network in NETWORKS}
        if own["phi"] == own["psi"]:
            own = {"actor": own["actor"], "critic": own["phi"]}
        parts += [("width", str(usual))] if shape == "width" else []
        parts += [(f"{network} {shape}", str(value)) for network, value in own.items() if value != usual]
    return parts
