"""Flags of every command with odd values: about a thousand calls, none of which trains or draws anything."""

import inspect

import pytest

from rl_depth.cli import bench, evaluate, findings, insight, scenes, sweep, train
from rl_depth.config import Config

from .conftest import ODD

FIELDS = list(Config.__dataclass_fields__)


@pytest.fixture
def nothing_runs(monkeypatch):
    """Stands in for what a good call would do."""
    monkeypatch.setattr("rl_depth.training.session.train", lambda *given, **options: None)
    monkeypatch.setattr("rl_depth.cli.sweep._estimates", lambda cells: {})
    monkeypatch.setattr("rl_depth.cli.sweep._show_plan", lambda *given: None)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@pytest.mark.parametrize("part", range(4))
def test_options_of_training(answer, untouched, rng, nothing_runs, part):
    for name in FIELDS[part::4]:
        for value in rng.sample(ODD, 10):
            code, text = answer("train", f"{flag(name)}={value}")
            assert code == 0 or flag(name).removeprefix("--").split("-")[0] in text or "--" in text
    untouched()


def test_options_of_training_without_a_value_twice_or_misspelt(answer, untouched, rng, nothing_runs):
    for name in FIELDS:
        answer("train", flag(name))
        assert answer("train", flag(name), "4", flag(name), "4")[0] == 2
        letters = list(name)
        letters[rng.randrange(len(letters))] = rng.choice("xyz_-0")
        answer("train", flag("".join(letters)), "4")
    untouched()


def test_two_options_of_training_together(answer, untouched, rng, nothing_runs):
    for _ in range(100):
        words = [f"{flag(name)}={rng.choice(ODD)}" for name in rng.sample(FIELDS, 2)]
        answer("train", *words)
    untouched()


def test_lists_of_a_sweep(answer, untouched, rng, nothing_runs):
    for name in FIELDS:
        values = ",".join(rng.sample(ODD, 2))
        answer("sweep", flag(name), values, "--dry-run")
        answer("sweep", "--grid", f"{name}={values}", "--dry-run")
    for word in ODD:
        answer("sweep", word, "--dry-run")
        answer("sweep", f"--grid={word}", "--dry-run")
        answer("sweep", "--preset", word, "--depth", "4,8", "--dry-run")
    untouched()


COMMANDS = [
    train.train, evaluate.evaluate, evaluate.extrapolate, scenes.render, findings.compare, findings.thresholds,
    findings.report, insight.inspect, insight.grid, sweep.watch, bench.bench,
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_options_of_commands(answer, untouched, rng, nothing_runs, command):
    positional = ["no_run_here"] if command not in (train.train, bench.bench) else []
    positional += ["--once"] if command is sweep.watch else []
    positional += ["--width", "0"] if command is bench.bench else []  # refused last of all
    skipped = ("config", "run", "runs", "inputs", "root", "distributed", "once")
    for name in inspect.signature(command).parameters:
        if name in skipped:
            continue
        values = rng.sample(
            [value for value in ODD if name not in ("out", "json") or value in ("", "\x00", "x" * 5000)],
            3 if name in ("out", "json") else 8,
        )
        for value in values:
            answer(command.__name__, *positional, f"{flag(name)}={value}")
    untouched()


def test_names_of_runs_environments_and_commands(answer, rng):
    for word in ODD:
        if word in ("..", "/", "~", "/dev/null", "", " "):  # folders that are there
            continue
        answer(rng.choice(["evaluate", "inspect", "compare", "thresholds", "extrapolate", "report"]), word)
        answer("watch", "--once", word)
        answer("envs", word)
        answer("render", "--env", word, "--policy", "random", "--split", "no_such")
        if not word.startswith("-"):
            answer(word)
