"""Who may import whom: one line for each room, and nothing upwards. Imports within functions and for types count."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Room: the rooms that it may import. A file on the ground is a room of its own.
ROOMS = {
    "envs": "",
    "config": "envs",
    "signals": "",
    "terminal": "",
    "interrupts": "",
    "render": "",
    "networks": "config",
    "runs": "config",
    "measured": "config envs runs",
    "device": "config envs",
    "agents": "config networks",
    "training": "agents config device envs networks runs signals terminal",
    "evaluation": "agents config device envs measured networks render runs training",
    "bench": "agents config device envs networks runs training",
    "sweeps": "agents config device runs signals terminal training",
    "analysis": "config measured runs",
    "cli": "agents analysis bench config device envs evaluation interrupts runs signals sweeps terminal training",
    "__main__": "cli interrupts",
}

# The same within analysis/, whose files at the top are rooms of their own.
ANALYSIS = {
    "significance": "",
    "written": "",
    "aggregate": "significance",
    "meaning": "",
    "extrapolation": "aggregate meaning",
    "runs": "meaning",
    "thresholds": "meaning runs",
    "calibration": "thresholds",
    "compare": "aggregate meaning runs significance thresholds",
    "plots": "aggregate calibration compare meaning runs significance thresholds",
    "outputs": "calibration compare plots runs thresholds written",
    "inspection": "plots",
    "frontier": "meaning plots significance",
    "grid": "aggregate plots runs written",
    "report": "aggregate compare extrapolation frontier meaning plots runs significance thresholds written",
}

# Within a room: files, from the one that imports none of the others.
CONFIG = [
    "errors",
    "numbers",
    "budget",
    "specs",
    "supervision",
    "trunk",
    "options",
    "types",
    "refusals",
    "segments",
    "checks",
    "experiment",
    "foreign",
    "parser",
    "presets",
    "__init__",
]


def files(room: Path) -> list[Path]:
    """A room's Python files; links put envs, analysis and configs below rl_depth, but each is a folder of its own."""
    return [room] if room.is_file() else sorted(room.rglob("*.py"))


def imports(file: Path, package: tuple[str, ...]) -> set[str]:
    """Modules below rl_depth that a file imports, such as ``envs.base``, whether at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("rl_depth.") for name in found if name.startswith("rl_depth.")}


def place(room: str) -> Path:
    """Where a room lies."""
    top = ROOT / room if room in ("envs", "analysis") else ROOT / "rl_depth" / room
    return top if top.is_dir() else top.with_suffix(".py")


def arrows(folder: Path, prefix: tuple[str, ...], file: Path) -> set[str]:
    """What a file below ``folder`` imports, its package's name being ``prefix``."""
    return imports(file, (*prefix, *file.relative_to(folder).parts[:-1]))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room):
    own, allowed = place(room), {room, *ROOMS[room].split()}
    for file in files(own):
        folder = own if own.is_dir() else own.parent
        prefix = ("rl_depth", room) if own.is_dir() else ("rl_depth",)
        reached = {name.split(".")[0] for name in arrows(folder, prefix, file)} & ROOMS.keys()
        assert reached <= allowed, (file, reached - allowed)


@pytest.mark.parametrize("room", ANALYSIS)
def test_a_room_of_analysis_imports_only_rooms_below_it(room):
    own, allowed = ROOT / "analysis" / room, {room, *ANALYSIS[room].split()}
    own = own if own.is_dir() else own.with_suffix(".py")
    for file in files(own):
        found = arrows(ROOT / "analysis", ("rl_depth", "analysis"), file)
        reached = {name.split(".")[1] for name in found if name.startswith("analysis.")} & ANALYSIS.keys()
        assert reached <= allowed, (file, reached - allowed)


@pytest.mark.parametrize("rooms", [ROOMS, ANALYSIS], ids=["rl_depth", "analysis"])
def test_every_room_has_a_line_and_no_line_leads_upwards(rooms):
    lines = list(rooms)
    for room, below in rooms.items():
        assert all(lines.index(other) < lines.index(room) for other in below.split()), room
    folder = ROOT / ("rl_depth" if rooms is ROOMS else "analysis")
    there = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert there - {"__init__"} == rooms.keys()


def test_configuration_is_read_one_way():
    for name in CONFIG[:-1]:
        found = arrows(ROOT / "rl_depth" / "config", ("rl_depth", "config"), ROOT / f"rl_depth/config/{name}.py")
        own = {module.split(".")[1] for module in found if module.startswith("config.")} & set(CONFIG)
        assert all(CONFIG.index(other) < CONFIG.index(name) for other in own), name


def test_no_two_rooms_have_files_of_one_name():
    """But a command may bear the name of the file that it shows, and what a file of results is named after."""
    homes: dict[str, list[str]] = {}
    for room in [*ROOMS, *(f"analysis/{own}" for own in ANALYSIS)]:
        folder = ROOT / room if room.startswith(("envs", "analysis")) else ROOT / "rl_depth" / room
        for file in folder.rglob("*.py") if folder.is_dir() and room != "analysis" else []:
            homes.setdefault(file.stem, []).append(room)
    twice = {stem: rooms for stem, rooms in homes.items() if len(rooms) > 1 and stem not in ("__init__", "base")}
    assert all("cli" in rooms and len(rooms) == 2 for rooms in twice.values()), twice


@pytest.mark.parametrize(
    "file",
    [file for room in ("rl_depth", "envs", "analysis") for file in files(ROOT / room)],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_the_name_envs_is_ours_and_none_is_imported_bare(file):
    text = file.read_text()
    assert "from brax import envs" not in text and "import brax.envs" not in text
    assert not re.search(r"^\s*(from|import) (envs|analysis|configs)\b", text, re.MULTILINE)


def test_contributing_shows_the_rooms_as_they_are():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for title, rooms in (("rl_depth", ROOMS), ("analysis", ANALYSIS)):
        lines = [f"{room:14}{'<- ' + below if below else ''}".rstrip() for room, below in rooms.items()]
        assert "\n".join(lines) in text, f"the rooms of {title} in CONTRIBUTING.md should read:\n" + "\n".join(lines)
