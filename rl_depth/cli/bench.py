"""What things cost: counted, and measured on this device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from ..config import Config, ConfigError, Whole, Wholes
from .common import OutFolder, ResultFile, Switch, at_least, start, write_json


def cost(
    *,
    config: Config = Config(),  # noqa: B008 - frozen
    preset: str | None = None,
    json: ResultFile | None = None,
) -> None:
    """Print what a run takes: parameters, operations, memory as counted and as compiled, whether it fits this device.

    Parameters
    ----------
    preset
        Start from a preset, named or a TOML file; flags go on top.
    json
        Write the numbers to this file too.
    """
    del preset  # main() made it the source of the options that no flag gave
    start()
    from .. import device, terminal
    from ..agents.cost import agent_cost, agent_memory
    from ..bench import planned
    from ..bench import speed as measure
    from ..training.trainer import make_env

    env = make_env(config)
    found = agent_cost(config, env.state_size, env.goal_size, env.action_size)
    memory = agent_memory(config, found, env.state_size, env.goal_size, env.action_size)
    rate = measure.matmul_rate(config.width, config.batch_size)
    plan = planned.plan(config)
    there = device.memory_bytes(1)
    saved = config.seeds * (memory.state + memory.replay)
    numbers: dict[str, Any] = {
        "parameters": found.parameters,
        "flops_per_update": found.flops_per_update,
        "flops_per_action": found.flops_per_action,
        "state_bytes": memory.state,
        "gradient_bytes": memory.gradients,
        "activation_bytes": memory.activations,
        "replay_bytes": memory.replay,
        "run_counted_bytes": config.seeds * memory.total,
        "run_planned_bytes": plan.peak,
        "host_bytes": saved,
        "device_bytes": there,
        "fits": None if there is None else plan.peak <= there,
        "device_flops_per_second": rate,
        "update_seconds_at_least": found.flops_per_update / rate,
    }
    title = f"{config.block} trunks of depth {config.depth}, width {config.width}, batch {config.batch_size}"
    table = terminal.empty_table(f"one agent in {config.env}: {title}", ("quantity", "of"), ("value",))
    lines = [
        ("parameters", "actor, phi, psi and temperature", f"{found.parameters:,}"),
        ("operations", "one gradient step", f"{found.flops_per_update / 1e6:,.1f} MFLOP"),
        ("operations", "one action", f"{found.flops_per_action / 1e6:,.3f} MFLOP"),
        ("memory", "parameters and Adam's moments", _mib(memory.state)),
        ("memory", "gradients", _mib(memory.gradients)),
        ("memory", "activations of a gradient step", _mib(memory.activations)),
        ("memory", "replay", _mib(memory.replay)),
        ("memory of the run", f"counted, {_seeds(config)}", _mib(config.seeds * memory.total)),
        ("memory of the run", f"planned by the compiler, {_seeds(config)}", _mib(plan.peak)),
        ("memory of the host", "what a checkpoint copies, replay included", _mib(saved)),
        ("rate", "matrix products of this width and batch here", f"{rate / 1e9:,.0f} GFLOP/s"),
        ("time", "a gradient step's matrix products at that rate", f"{1e3 * found.flops_per_update / rate:,.2f} ms"),
    ]
    for line in lines:
        table.add_row(*line)
    terminal.show(table)
    print(_fit(plan.peak, there))
    if json is not None:
        write_json(json, numbers)


def _seeds(config: Config) -> str:
    return "1 seed" if config.seeds == 1 else f"{config.seeds} seeds"


def _fit(peak: int, there: int | None) -> str:
    """Whether a run fits this device, in words."""
    if there is None:
        return "whether it fits this device is unknown: it does not say how much memory it has"
    fits = "fits" if peak <= there else "does not fit"
    return f"{fits} this device: {_mib(peak)} of {_mib(there)}"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def bench(
    *,
    quick: Annotated[bool, Switch] = False,
    depths: Wholes = (4, 16, 64),
    width: Whole = 256,
    batch: Whole = 256,
    seeds: Wholes = (2, 4),
    start_envs: str = "point_maze,ant",
    peer_python: Path | None = None,
    whole: Annotated[bool, Switch] = False,
    env: str = "ant",
    backend: str = "spring",
    rounds: Whole = 24,
    turns: Whole = 2,
    out: OutFolder = Path("runs/bench"),
    json: ResultFile | None = None,
) -> None:
    """Measure speed and memory: ours against a textbook update with unrolled layers, in turns, in one process.

    Parameters
    ----------
    quick
        Few repetitions, and start-up and memory up to depth 64 only: some minutes.
    depths
        Depths of the gradient step, in dense layers.
    width
        Units of each hidden layer.
    batch
        Transitions in a gradient step.
    seeds
        Numbers of agents in one program, against one; on a GPU try 8.
    start_envs
        Environments, such as point_maze,ant, whose `rl-depth train` is timed to its first gradient steps.
    peer_python
        Python of another environment that has PyPI's jaxgcrl, to time it too.
    whole
        Measure whole runs instead: jaxgcrl's training and ours, in turns, each a process of its own.
    env
        Environment of those.
    backend
        Physics of those.
    rounds
        Rounds of collecting and gradient steps in those, a multiple of 4; each takes 250 gradient steps of 256.
    turns
        Pairs of those.
    out
        Folder for bench.json.
    json
        Write the result to this file instead.
    """
    for name, value in (("width", width), ("batch", batch)):
        at_least(name, value, 2)
    for number in seeds:
        at_least("seeds", number, 1)
    for depth in depths:
        Config(depth=depth)  # refuses what is no depth
    if peer_python is not None and not peer_python.is_file():
        raise ConfigError(f"--peer-python {peer_python}: no such file")
    names = [name.strip() for name in start_envs.split(",")]
    for name in () if whole else names:
        Config(env=name)
    if whole:
        return _whole(peer_python, env, backend, rounds, turns, json if json is not None else out / "whole.json")
    start()
    from .. import device
    from ..bench import speed as measure
    from ..bench.whole import starts

    deep = (4, 64) if quick else (4, 64, 256, 1024)
    repetitions = 5 if quick else 15
    sizes = {"width": width, "batch": batch}
    result: dict[str, Any] = {"device": device.describe(), "quick": quick, **sizes}
    result["matmul_gflops"] = measure.matmul_rate(width, batch) / 1e9
    result["launch_latency_us"] = 1e6 * measure.launch_latency()
    print(
        f"matrix products reach {result['matmul_gflops']:,.0f} GFLOP/s at width {width} and batch {batch}; "
        f"a turn of an empty loop takes {result['launch_latency_us']:,.2f} us"
    )
    parts = {
        "update": lambda: measure.updates(depths, ("stacked", "looped"), **sizes, repetitions=repetitions),
        "starts": lambda: starts(names),
        "start_up": lambda: measure.start_up(deep, ("stacked", "looped"), width=width, batch=64),
        "epoch": lambda: [
            row for env in ("point_maze", "ant") for row in measure.epoch(max(depths), env=env, **sizes, repetitions=3)
        ],
        "seeds": lambda: measure.seeds(min(depths), seeds, **sizes, repetitions=3),
        "memory": lambda: measure.memory((deep[-1],), ("stacked", "looped"), **sizes),
    }
    if peer_python is not None:
        parts["peer"] = lambda: measure.peer(peer_python, depths, **sizes, repetitions=repetitions)
    for name, part in parts.items():
        result[name] = part()
        _show(name, result[name])
    if peer_python is not None:
        _show("ours against jaxgcrl", _against_peer(result["update"], result["peer"]))
    file = json if json is not None else out / "bench.json"
    write_json(file, result)
    print(f"written: {file}")


def _whole(python: Path | None, env: str, backend: str, rounds: int, turns: int, file: Path) -> None:
    """Whole runs against the peer's."""
    if python is None:
        raise ConfigError("--whole: needs --peer-python, the Python of an environment that has PyPI's jaxgcrl")
    at_least("turns", turns, 1)
    Config(env=env, backend=backend)
    from ..bench.whole import Work, against_peer

    work = Work(env=env, backend=backend, rounds=rounds)
    if rounds < work.num_evals or rounds % work.num_evals:
        raise ConfigError(f"--rounds {rounds}: must be a multiple of {work.num_evals}, the evaluations of a run")
    start()
    from .. import device

    rows = against_peer(python, work, turns)
    _show(f"whole runs of {env}", rows)
    write_json(file, {"device": device.describe(), "rounds": rounds, "whole": rows})
    print(f"written: {file}")


def _against_peer(ours: Sequence[Mapping[str, Any]], peer: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    stacked = {row["depth"]: row["ours_ms"] for row in ours if row["block"] == "stacked"}
    return [{"depth": row["depth"], "ratio": stacked[row["depth"]] / row["peer_ms"]} for row in peer]


def _show(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of rows whose columns are the keys of them all."""
    from .. import terminal

    keys = list(dict.fromkeys(key for row in rows for key in row))
    words = [key for key in keys if isinstance(rows[0].get(key), str)]
    table = terminal.empty_table(name.replace("_", " "), words, [key for key in keys if key not in words])
    for row in rows:
        table.add_row(*(str(row[key]) for key in words), *(_number(row.get(key)) for key in keys if key not in words))
    terminal.show(table)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
