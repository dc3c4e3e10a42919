"""What supervision along the trunk goes with."""

from __future__ import annotations

from .options import NETWORKS, Options
from .refusals import refuse, refuse_changed

_OF_ALL = ("segment_weights", "actor_segments", "cross_depth", "consistency")


def check_segments(config: Options) -> None:
    """Raise `ConfigError` for the first thing that is wrong with a configuration's segments."""
    if config.supervise == "last":
        refuse_changed(config, ("segments", "segment_horizon", "halting_head"), "add --supervise drawn or all")
        refuse_changed(config, _OF_ALL, "add --supervise all")
        return
    _check_number(config)
    if config.train_recurrence is not None:
        refuse(
            "train_recurrence", config.train_recurrence, f"--supervise {config.supervise} says what to train; drop one"
        )
    if config.supervise == "drawn":
        if config.cross_depth:
            refuse("cross_depth", True, "with --supervise drawn, --recurrence-draw per-network does this")
        refuse_changed(config, _OF_ALL, "add --supervise all")
    else:
        _check_everywhere(config)
    if config.segment_horizon is not None:
        _check_horizon(config)
    if config.halting_head and config.step_conditioning:
        refuse("step_conditioning", True, "a halting head goes on from one segment to the last, at one step size")


def _check_number(config: Options) -> None:
    """The number of segments must divide the applications of every network."""
    segments = config.segments
    if segments is None:
        refuse("supervise", config.supervise, "needs --segments")
    for network in NETWORKS:
        trunk = config.trunk(network)
        if segments < 1 or trunk.applications % segments:
            fits = [n for n in range(1, trunk.applications + 1) if trunk.applications % n == 0]
            near = [
                max((n for n in fits if n < segments), default=0),
                min((n for n in fits if n > segments), default=0),
            ]
            refuse(
                "segments",
                segments,
                f"the {network} of depth {trunk.depth} has {trunk.applications} applications, which it must divide; "
                f"nearest: {' or '.join(str(n) for n in near if n)}",
            )


def _check_everywhere(config: Options) -> None:
    if config.step_conditioning:
        refuse("step_conditioning", True, "with --supervise all one pass serves all segments, at one step size")
    if config.segments == 1:
        refuse_changed(config, _OF_ALL, "needs at least 2 segments")
    if isinstance(config.backprop_steps, int):
        assert config.segments is not None
        most = max(config.trunk(network).applications // config.segments for network in NETWORKS)
        if config.backprop_steps > most:
            refuse("backprop_steps", config.backprop_steps, f"a segment has {most} applications at most")


def _check_horizon(config: Options) -> None:
    refuse_changed(config, ("gamma",), "has no effect beside --segment-horizon; drop one")
    if "gamma" in config.per_seed_values():
        refuse("per_seed", config.per_seed, "gamma has no effect beside --segment-horizon; drop one")
    for field in ("cross_depth", "consistency"):
        refuse_changed(config, (field,), "with --segment-horizon no two segments have the same goals; drop one")
    if config.recurrence_draw == "per-network":
        refuse("recurrence_draw", "per-network", "with --segment-horizon all networks need the same segment; drop one")
