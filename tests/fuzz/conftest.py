"""What the fuzz tests share: one line or a result is the only answer to whatever they are given."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_depth.cli.main import main
from rl_depth.config import ConfigError, RunError

# Text that has broken parsers before: numbers at the ends of their types, other scripts, markup, paths, nothing.
ODD = [
    "", " ", "0", "-1", "1", "3", "1e3", "8.5", "1e30", "1e400", "nan", "inf", "-inf", "-0", "0x10", "1_000", "١٢", "²",
    "9" * 30, "9" * 5000, "true", "None", "null", "all", "[]", "[4, 8]", "{}", "4,8,16", "4, ,8", ",", ":", "::", "a:b",
    "fixed:", "fixed:0", "fixed:99999999999", "uniform:8:1", "lognormal-poisson:1e308", "curriculum:1:2:3", "a/b.py:C",
    "..", "/", "/dev/null", "~", "x" * 5000, "a\tb", "a\nb", "\x00", "\x1b[31m", "ü", "日本", "[bold]", "[/]",
    "%s", "{0}", "--", "-", "=", "'", '"', "size=9", "size=nan", 'split="eval"', "actor_lr=[1]", "a=[[[", "\ud800",
]  # fmt: skip


def one_of(error: BaseException) -> bool:
    """Whether an error is one that the command line answers in a line."""
    return isinstance(error, ConfigError | RunError)


@pytest.fixture
def rng(request) -> random.Random:
    return random.Random(request.node.nodeid)


@pytest.fixture
def answer(capsys, tmp_path, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Calls the command line in this process; its exit code and what it said. Anything but a result or a line fails."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        try:
            main(list(arguments))
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            raise AssertionError(f"{arguments!r}: {type(error).__name__}: {error}") from error
        out, err = capsys.readouterr()
        assert code in (0, 1, 2), (arguments, code)
        if code:
            line = err.strip().splitlines()
            assert len(line) == 1 and line[0].startswith("rl-depth: error: "), (arguments, err)
            assert len(line[0]) < 1500, (arguments, line[0][:200])
        return int(code), out + err

    return call


@pytest.fixture
def untouched(tmp_path) -> Callable[[], None]:
    """Asserts that nothing was made in the folder that commands run in."""

    def check() -> None:
        found = [str(path.relative_to(tmp_path)) for path in Path(tmp_path).iterdir()]
        assert not found, found

    return check
