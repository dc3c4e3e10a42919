"""Who may import whom: the direction of imports between and inside the rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A module may import what stands to its left, and itself nothing to its right.
ORDER = [
    "specs",
    "checks",
    "config",
    "recurrence",
    "layers",
    "networks",
    "losses",
    "agent",
    "reference",
    "replay",
    "rollout",
    "hosts",
    "sharding",
    "device",
    "training",
    "cost",
    "workload",
    "first_step",
    "metrics",
    "runs",
    "terminal",
    "progress",
    "trackers",
    "policy",
    "session",
    "evaluation",
    "probing",
    "inspecting",
    "extrapolating",
    "tables",
    "watching",
    "sweep",
    "estimates",
    "executors",
    "scheduling",
    "showing",
    "bench",
]

ROOMS = {"rl_depth": {"envs"}, "envs": set(), "analysis": {"rl_depth"}}


def imports(file: Path) -> set[str]:
    """Modules that a file imports, absolute."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if not _only_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def _only_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_room_imports_only_rooms_it_may(file):
    room = file.relative_to(ROOT).parts[0]
    allowed = ROOMS[room] | {room}
    if file.name == "cli.py" or file.parent.name == "commands":
        allowed |= {"analysis"}
    foreign = {name.split(".")[0] for name in imports(file)} & (ROOMS.keys() - allowed)
    assert not foreign


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_name_envs_is_ours(file):
    text = file.read_text()
    assert "from brax import envs" not in text
    assert "import brax.envs" not in text


@pytest.mark.parametrize("module", ORDER)
def test_modules_import_only_what_stands_left_of_them(module):
    right = ORDER[ORDER.index(module) + 1 :]
    found = imports(ROOT / "rl_depth" / f"{module}.py")
    assert not {f"rl_depth.{name}" for name in right} & found


@pytest.mark.parametrize("file", sorted((ROOT / "analysis").rglob("*.py")), ids=lambda file: file.name)
def test_analysis_reads_runs_and_never_trains(file):
    own = {name for name in imports(file) if name.startswith("rl_depth")}
    assert {name.split(".")[1] for name in own if "." in name} <= {"runs", "config", "metrics"}
