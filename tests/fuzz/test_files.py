"""Presets, sweep files, tables, run folders and checkpoints, some 900 torn, foreign or absurd: a result or a line."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.analysis.compare import compare
from rl_depth.analysis.runs import groups, series
from rl_depth.config import Config, load
from rl_depth.sweeps import grids, overview, sweep

from ..fabricated import fabricate
from .conftest import ODD, one_of

FIELDS = list(Config.__dataclass_fields__)
VALUES = [
    '""',
    '"x"',
    "0",
    "-1",
    "1.5",
    "1e400",
    "nan",
    "true",
    "[]",
    "[4, 8]",
    "[[4]]",
    "{}",
    "9" * 5000,
    "1979-05-27",
]
TEXTS = [
    b"",
    b"\xff\xfe",
    b"\x00",
    b"[",
    b"[" * 100_000,
    b"= 3",
    b"a.b.c = 1",
    b"[grid]",
    b"\xef\xbb\xbfdepth = 8",
    b"a=1\r\nb",
]


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Bytes cut, flipped, doubled or filled with something else."""
    cut = rng.randrange(len(good) + 1)
    kind = rng.randrange(6)
    if kind == 0:
        return good[:cut]
    if kind == 1:
        return good[:cut] + bytes(rng.randrange(256) for _ in range(8)) + good[cut + 8 :]
    if kind == 2:
        return good + good[cut:]
    if kind == 3:
        return good[cut:]
    if kind == 4:
        return rng.choice(TEXTS)
    return good.replace(
        rng.choice([b":", b",", b"0", b'"', b"\n", b"="]), rng.choice([b"", b"[", b"nan", b"-", b"9" * 400])
    )


def try_it(what, *given) -> None:
    """Call; whatever comes of it is a result or one line."""
    try:
        what(*given)
    except Exception as error:
        assert one_of(error), f"{what.__name__}: {type(error).__name__}: {error}"


def test_presets(tmp_path, rng):
    file = tmp_path / "preset.toml"
    for name in FIELDS:
        for value in rng.sample(VALUES, 3):
            file.write_text(f"{name} = {value}\n")
            try_it(load, file)
    for text in TEXTS:
        file.write_bytes(text)
        try_it(load, file)


def test_sweep_files(tmp_path, rng):
    file = tmp_path / "sweep.toml"

    def read():
        sweep.cells(grids.plan(file), tmp_path / "out")

    good = b'preset = "smoke"\nseeds = 2\n[grid]\ndepth = [4, 8]\nblock = ["stacked", "looped"]\n'
    for name in FIELDS:
        file.write_text(f"[grid]\n{name} = [{rng.choice(VALUES)}, {rng.choice(VALUES)}]\n")
        try_it(read)
    for _ in range(80):
        file.write_bytes(damaged(good, rng))
        try_it(read)
    assert not (tmp_path / "out").exists()


def test_tables(tmp_path, rng):
    file = tmp_path / "table.csv"
    rows = ["env,block,depth,seed,metric,value"]
    rows += [f"maze,stacked,{depth},{seed},success,{depth * seed}" for depth in (4, 8) for seed in range(3)]
    good = "\n".join(rows).encode()
    for value in ODD:
        for column in range(6):
            cells = ["maze", "stacked", "4", "0", "success", "1"]
            cells[column] = value
            file.write_text("\n".join([rows[0], ",".join(cells)]), errors="surrogatepass")
            try_it(series.read, [file])
    for _ in range(100):
        file.write_bytes(damaged(good, rng))
        try_it(series.read, [file])


JSON = [None, 3, "x", [], {}, [1], [[]], {"a": {}}, -1, 1e308, True, "running", [None]]


def odd_json(text: str, rng: random.Random) -> bytes:
    """A file of JSON lines with one value exchanged for another."""
    lines = text.splitlines()
    place = rng.randrange(len(lines))
    try:
        row = json.loads(lines[place])
        row[rng.choice(list(row))] = rng.choice(JSON)
        lines[place] = json.dumps(row)
    except (ValueError, IndexError, TypeError):
        lines[place] = "{"
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for block in ("stacked", "looped"):
        fabricate(folder / block, 0.5, block=block, depth=4, seeds=2)
    return folder


@pytest.mark.parametrize("name", ["config.toml", "meta.json", "metrics.jsonl", "timing.jsonl", "status.json"])
def test_run_folders(two_runs, tmp_path, rng, name):
    folder = tmp_path / "runs"
    shutil.copytree(two_runs, folder)
    file = folder / "stacked" / name
    good = file.read_bytes()
    contents = [damaged(good, rng) for _ in range(25)]
    contents += [odd_json(good.decode(), rng) for _ in range(0 if name == "config.toml" else 35)]
    for number, content in enumerate(contents):
        file.write_bytes(content)
        views = overview.Watcher(folder).views()
        overview.table(views, overview.summary(views))
        try_it(groups.gather, [folder])
        if number % 6 == 0:  # these take a while
            try_it(compare.compare, [folder])
            try_it(series.read, [folder])
    file.unlink()
    file.mkdir()
    overview.Watcher(folder).views()
    try_it(series.read, [folder])
    try_it(compare.compare, [folder])


def test_checkpoints(tmp_path, rng):
    run = fabricate(tmp_path / "run", 0.5, depth=4)
    run.save_checkpoint(3, {"a": np.arange(50.0), "b": np.zeros((2, 2))}, keep=2)
    (file,) = (tmp_path / "run" / "checkpoints").glob("*.safetensors")
    good = file.read_bytes()
    for _ in range(100):
        file.write_bytes(damaged(good, rng))
        try_it(runs.open_run(run.path).load_checkpoint)
