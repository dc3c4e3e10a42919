"""The command line: sub-commands and nothing else. JAX is imported only after the flags have parsed."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from pathlib import Path

from cyclopts import App, CycloptsError

from .. import __version__
from ..config import ConfigError, RunError, exit_code, explain, find_preset, is_there, preset_source
from . import bench, evaluate, findings, frontier, insight, scenes, sweep, train

_LONGEST = 1000  # characters of a message, which may quote what was given


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split()).encode("utf-8", "backslashreplace").decode()
    print(f"rl-depth: error: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]}...'}", file=sys.stderr)
    raise SystemExit(code)


app = App(
    name="rl-depth",
    version=__version__,
    help="Train contrastive goal-conditioned agents at many depths, stacked or looped, and see what depth buys.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # see `interrupts`
)
app.register_install_completion_command(help="Install completion of commands and options for your shell.")

for command in (train.train, evaluate.evaluate, evaluate.extrapolate, evaluate.export, scenes.render, scenes.envs):
    app.command(command)
for command in (findings.compare, findings.thresholds, findings.calibrate, findings.report, findings.archive):
    app.command(command)
for command in (insight.inspect, insight.grid, frontier.frontier):
    app.command(command)
for command in (sweep.sweep, sweep.watch, bench.cost, bench.bench):
    app.command(command)


def _value_of(flag: str, arguments: list[str]) -> str | None:
    """The value of a flag before the arguments are parsed: presets decide what parsing starts from."""
    for given, following in zip(arguments, [*arguments[1:], None], strict=True):
        if given == flag:
            return following
        if given.startswith(flag + "="):
            return given.partition("=")[2]
    return None


# Commands that take all options of an experiment, and with them a preset to start from. `sweep` reads its own.
_WITH_CONFIG = ("train", "cost")

# Flags of `train` that say nothing of what is trained.
_NO_CONFIG = {f"--{name}" for name in inspect.signature(train.train).parameters} - {"--config", "--preset"}


def _source(arguments: list[str]) -> Path | None:
    """The TOML file that a command takes unset options from: a preset, or the run that is resumed."""
    preset, out = _value_of("--preset", arguments), _value_of("--out", arguments)
    resuming = arguments[0] == "train" and "--resume" in arguments
    resumed = Path(out) / "config.toml" if out is not None and resuming else None
    if resumed is not None and is_there(resumed):
        if preset is not None:
            raise ConfigError(f"--preset {preset}: a run that is resumed keeps its configuration; drop one of the two")
        return resumed
    if resuming:
        if out is None:
            raise ConfigError("--resume: say which run with --out DIR")
        if not any(given.startswith("--") and given.partition("=")[0] not in _NO_CONFIG for given in arguments):
            raise ConfigError(f"--out {out}: holds no run to go on with; options of one, such as --env, would start it")
    return find_preset(preset) if preset is not None else None


def main(arguments: list[str] | None = None) -> None:
    """The command line. Exits 0, 1 for a failure while running, 2 for a bad option or input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    source = None
    try:
        if arguments[:1] and arguments[0] in _WITH_CONFIG:
            source = _source(arguments)
        app.config = [preset_source(source)] if source else []
        app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        _fail(explain(error, source, arguments), 2)
    except (ConfigError, RunError) as error:
        _fail(str(error), exit_code(error))
    except BrokenPipeError:
        _silence()
    except OSError as error:  # a disk that is full, a folder that cannot be read: what no room has spoken of
        _silence()
        what = error.filename if error.filename is not None else "output"
        _fail(f"{what}: {error.strerror or error}", 1)


def _silence() -> None:
    """Keep the interpreter from flushing, on its way out, what cannot be written."""
    with contextlib.suppress(OSError, ValueError):  # it may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
