"""Every command line of the documentation is one that the program takes."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from rl_depth.cli.main import app
from rl_depth.config import ConfigError, find_preset, preset_source
from rl_depth.sweeps import grids
from rl_depth.sweeps.sweep import cells

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("configs/**/*.toml"), *ROOT.glob("examples/*")]
NAME = "rl-depth"

# Names in capitals stand for what a reader puts there.
_STANDS_FOR = {"COMMAND", "..."}
_SWEEPS = {"FILE", "FOLDER"}


def lines(page: Path) -> tuple[list[str], list[str]]:
    """Command lines of a page: those of its code blocks, and those that its text quotes."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    if page.suffix == ".toml":
        text = "\n".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    fenced = re.findall(r"^```(?:bash|console)?\n(.*?)^```", text, flags=re.M | re.S)
    indented = re.findall(r"^    (.*)$", text, flags=re.M)
    quoted = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    blocks = [line for block in fenced for line in block.splitlines()] + indented
    return tuple([" ".join(line.split()) for line in part if NAME in line] for part in (blocks, quoted))


def commands(line: str) -> list[list[str]]:
    """Arguments of each call of the program in a line of shell: ``A && VAR=x srun rl-depth B`` -> ``[B]``."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    found: list[list[str]] = []
    inside = False
    for word in lexer:
        if word == NAME or word.endswith(f"/{NAME}"):
            found.append([])
            inside = True
        elif set(word) <= set("&|;<>"):
            inside = False
        elif inside:
            found[-1].append("4" if word == "N" else word)
    return [arguments for arguments in found if arguments and not _STANDS_FOR & set(arguments[:1])]


PARTS = {page.relative_to(ROOT): lines(page) for page in PAGES if page.is_file()}
BLOCKS, QUOTES = (sorted({(str(page), line) for page, both in PARTS.items() for line in both[i]}) for i in (0, 1))


def parse(arguments: list[str]) -> None:
    """Read a command line as the program does, up to the point where it would begin."""
    preset = arguments[arguments.index("--preset") + 1] if "--preset" in arguments[:-1] else None
    starts = preset is not None and arguments[0] in ("train", "cost")
    app.config = [preset_source(find_preset(preset))] if starts else []
    try:
        _, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    finally:
        app.config = []
    if arguments[0] == "sweep" and bound.args:
        name = None if bound.args[0].startswith("-") else bound.args[0]
        if name not in _SWEEPS and not str(name).startswith("runs/"):  # a folder that a reader made
            file = grids.find_sweep(name) if name is not None else None
            plan = grids.plan(file, bound.args[0 if name is None else 1 :], bound.kwargs.get("grid") or (), preset)
            cells(plan, Path("runs"))


@pytest.mark.parametrize(("page", "line"), BLOCKS, ids=[f"{page}: {line}" for page, line in BLOCKS])
def test_the_program_takes_it(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    for arguments in commands(line):
        parse(arguments)


@pytest.mark.parametrize(("page", "line"), QUOTES, ids=[f"{page}: {line}" for page, line in QUOTES])
def test_the_program_takes_what_is_quoted(page, line, monkeypatch):
    """A sentence may leave out what a command works on."""
    monkeypatch.chdir(ROOT)
    for arguments in commands(line):
        with contextlib.suppress(MissingArgumentError):
            parse(arguments)


def test_commands_are_found_in_a_line_of_shell():
    line = "CUDA_VISIBLE_DEVICES=0 srun -n 2 rl-depth train --depth 8 && .venv/bin/rl-depth compare a b # rl-depth x"
    assert commands(line) == [["train", "--depth", "8"], ["compare", "a", "b"]]
    assert commands("rl-depth COMMAND --help") == []
    assert len(BLOCKS) > 60 and len(QUOTES) > 30


@pytest.mark.parametrize("line", ["rl-depth train --dept 8", "rl-depth sweep --depth 4,6", "rl-depth sweep absent"])
def test_what_the_program_does_not_take_is_found(line):
    with pytest.raises((CycloptsError, ConfigError)):
        parse(commands(line)[0])
