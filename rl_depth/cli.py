"""The command line: sub-commands and nothing else. JAX is imported only after the flags have parsed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from . import __version__
from .config import Config, ConfigError, Whole, explain, find_preset, preset_source

app = App(
    name="rl-depth",
    version=__version__,
    help="Train contrastive goal-conditioned agents at many depths, stacked or looped, and see what depth buys.",
    result_action="return_value",
)
app.register_install_completion_command(help="Install completion of commands and options for your shell.")

_Switch = Parameter(negative="")
RunFolders = Annotated[list[Path], Parameter(consume_multiple=True)]


@app.command
def train(
    *,
    config: Config = Config(),  # noqa: B008 - frozen
    preset: str | None = None,
    out: Path | None = None,
    resume: Annotated[bool, _Switch] = False,
    quiet: Annotated[bool, _Switch] = False,
    tensorboard: Annotated[bool, _Switch] = False,
    wandb: str | None = None,
) -> None:
    """Train the agents of one configuration; without options, a depth-8 agent in a small maze.

    Parameters
    ----------
    preset
        Start from a preset, named or a TOML file; flags go on top.
    out
        Run folder [default: a new one below runs/train].
    resume
        Go on with the run in OUT from its latest checkpoint; needs no other option.
    quiet
        Show no progress.
    tensorboard
        Write TensorBoard event files into the run folder too.
    wandb
        Log to this Weights & Biases project too.
    """
    del preset  # main() made it the source of the options that no flag gave
    _start()
    from . import runs, session, trackers

    path = out if out is not None else runs.fresh_path(config)
    places: list[trackers.Tracker] = []
    if tensorboard:
        places.append(trackers.TensorBoard(path / "tensorboard"))
    if wandb is not None:
        places.append(trackers.WandB(wandb, config, path.name))
    try:
        session.train(config, path, resume=resume, quiet=quiet, trackers=places)
    except session.Interrupted:
        print(f"saved; go on with: rl-depth train --resume --out {path}", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        for place in places:
            place.close()
    print(path)


@app.command
def evaluate(
    run: Path,
    /,
    *,
    split: str | None = None,
    episodes: Whole = 32,
    stochastic: Annotated[bool, _Switch] = False,
    depths: Annotated[list[Whole] | None, Parameter(consume_multiple=True)] = None,
    seed: Whole = 0,
    json: Path | None = None,
) -> None:
    """Measure what a run's agents can do, per goal difficulty.

    Parameters
    ----------
    run
        Run folder.
    split
        Goals to evaluate on [default: the environment's evaluation goals].
    episodes
        Episodes at each goal difficulty.
    stochastic
        Draw actions from the policy instead of its mode.
    depths
        Depths to act with, in dense layers [default: the trained depth].
    seed
        Seed of the episodes.
    json
        Write the result to this file too [default: evaluations/ in the run folder].
    """
    _at_least("episodes", episodes, 1)
    _start()
    from . import evaluation, runs, tables

    folder = runs.open_run(run)
    rows = evaluation.evaluate_run(
        folder, split=split, episodes=episodes, stochastic=stochastic, depths=depths or (), seed=seed
    )
    tables.show_evaluation(rows)
    mode = "stochastic" if stochastic else "mode"
    file = json if json is not None else folder.evaluation_file(f"{rows[0]['split']}-{mode}")
    _write_json(file, rows)
    print(f"written: {file}")


@app.command
def compare(
    runs: RunFolders,
    /,
    *,
    out: Path = Path("runs/compare"),
    metric: str = "success_any",
    json: Path | None = None,
) -> None:
    """Compare runs: a table, and learning curves with seeds as bands, stacked and looped side by side.

    Parameters
    ----------
    runs
        Run folders, or folders that hold some.
    out
        Folder for compare.png, compare.csv and compare.json.
    metric
        Metric to plot, as metrics.jsonl names it.
    json
        Write the table to this file too.
    """
    from analysis import compare as comparison

    from . import tables

    result = comparison.compare(runs, metric)
    files = comparison.write(result, out)
    tables.show_comparison(result)
    if json is not None:
        _write_json(json, result.rows)
    for file in files:
        print(f"written: {file}")


@app.command
def render(
    runs: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    /,
    *,
    env: str | None = None,
    policy: str | None = None,
    split: str | None = None,
    backend: str | None = None,
    episodes: Whole = 2,
    depth: Whole | None = None,
    seed: Whole = 0,
    out: Path | None = None,
    gif: Annotated[bool, _Switch] = False,
    size: Annotated[tuple[Whole, Whole], Parameter(negative="")] = (480, 360),
) -> None:
    """Make a video and an interactive page of episodes; several runs go side by side.

    Parameters
    ----------
    runs
        Run folders.
    env
        Show this environment instead of runs; needs --policy.
    policy
        Policy for --env: random.
    split
        Starts and goals to draw [default: evaluation goals].
    backend
        Physics backend for --env [default: the environment's first].
    episodes
        Episodes, one after another.
    depth
        Depth to act with, in dense layers [default: the trained depth].
    seed
        Seed of the episodes; the same starts and goals for all runs.
    out
        Folder for the files [default: videos/ in the first run's folder, or runs/render/ENV].
    gif
        Write a gif as well.
    size
        Width and height of one picture, pixels.
    """
    _at_least("episodes", episodes, 1)
    for side in size:
        if not 64 <= side <= 4096:
            raise ConfigError(f"--size {size[0]} {size[1]}: each must lie in 64 to 4096 pixels")
    if bool(runs) == (env is not None):
        raise ConfigError("render: give run folders, or --env NAME --policy random, not both and not neither")
    if env is not None and policy != "random":
        raise ConfigError(f"--policy {policy}: with --env it must be random")
    if env is None and (policy is not None or backend is not None):
        raise ConfigError("--policy and --backend go with --env; a run has its own")
    if env is not None and depth is not None:
        raise ConfigError(f"--depth {depth}: a random policy has no depth")
    _start()
    from . import showing

    options = showing.Options(split=split, episodes=episodes, depth=depth, seed=seed, size=size, gif=gif)
    if env is not None:
        files = showing.show_random(env, backend, options, out)
    else:
        files = showing.show_runs(runs or [], options, out)
    for file in files:
        print(f"written: {file}")


@app.command
def envs(*, check: Annotated[bool, _Switch] = False) -> None:
    """List environments: sizes, splits, backends.

    Parameters
    ----------
    check
        Also step every environment on each of its backends and print steps per second.
    """
    _start()
    from . import tables

    tables.show_environments(check=check)


def _start() -> None:
    from . import device

    device.start()


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"--{option} {value}: must be at least {least}")


def _write_json(file: Path, content: Any) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from None


def _value_of(flag: str, arguments: list[str]) -> str | None:
    """The value of a flag before the arguments are parsed: presets decide what parsing starts from."""
    for given, following in zip(arguments, [*arguments[1:], None], strict=True):
        if given == flag:
            return following
        if given.startswith(flag + "="):
            return given.partition("=")[2]
    return None


def _source(arguments: list[str]) -> Path | None:
    """The TOML file that ``train`` takes unset options from: a preset, or the run that is resumed."""
    preset, out = _value_of("--preset", arguments), _value_of("--out", arguments)
    resumed = Path(out) / "config.toml" if out is not None and "--resume" in arguments else None
    if resumed is not None and resumed.exists():
        if preset is not None:
            raise ConfigError(f"--preset {preset}: a run that is resumed keeps its configuration; drop one of the two")
        return resumed
    if "--resume" in arguments and out is None:
        raise ConfigError("--resume: say which run with --out DIR")
    return find_preset(preset) if preset is not None else None


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exits 0, 1 for a failure while running, 2 for a bad option, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    source = None
    try:
        if arguments[:1] == ["train"]:
            source = _source(arguments)
        app.config = [preset_source(source)] if source else []
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(explain(error, source), 2)
    except ConfigError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
    except Exception as error:
        from .runs import RunError

        if not isinstance(error, RunError):
            raise
        _fail(str(error), 1)


def _fail(message: str, code: int) -> None:
    print(f"rl-depth: error: {message}", file=sys.stderr)
    raise SystemExit(code)
