"""Run folders: what is written reads back, what is damaged is noticed."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.config import Config, ConfigError

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, np.int32), "c": np.array([True, False])}


@pytest.fixture
def run(tmp_path):
    with runs.hold(tmp_path / "run", Config(), resume=False) as run:
        yield run


def assert_same(found):
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_checkpoints_read_back_and_are_rotated(run):
    for epoch in (1, 2, 3):
        run.save_checkpoint(epoch, ARRAYS, keep=2)
    saved = run.load_checkpoint()
    assert saved.epoch == 3 and not saved.skipped
    assert_same(saved.arrays)
    assert [f.stem for f in sorted((run.path / "checkpoints").iterdir())] == ["00000002", "00000003"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(run, damage):
    run.save_checkpoint(1, ARRAYS, keep=2)
    run.save_checkpoint(2, ARRAYS, keep=2)
    file = run.path / "checkpoints" / "00000002.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[:-5]
    elif damage == "flipped":
        data[-3] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        from safetensors.numpy import save

        data = bytearray(save({"x": np.zeros(3)}))
    file.write_bytes(data)
    saved = run.load_checkpoint()
    assert saved.epoch == 1
    assert "00000002" in saved.skipped[0]
    assert_same(saved.arrays)


def test_no_usable_checkpoint_is_an_error_that_says_why(run):
    with pytest.raises(runs.RunError, match="none was written"):
        run.load_checkpoint()
    run.save_checkpoint(1, ARRAYS, keep=1)
    (run.path / "checkpoints" / "00000001.safetensors").write_bytes(b"junk")
    with pytest.raises(runs.RunError, match="damaged: 00000001"):
        run.load_checkpoint()


def test_a_torn_last_line_is_dropped(run):
    run.append([{"epoch": 1, "x": 1.5}], {"epoch": 1, "train_seconds": 0.0})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "x": 1')
    assert run.metrics() == [{"epoch": 1, "x": 1.5}]
    run.truncate(1)
    run.append([{"epoch": 2, "x": 2.5}], {"epoch": 2, "train_seconds": 0.0})
    assert run.metrics() == [{"epoch": 1, "x": 1.5}, {"epoch": 2, "x": 2.5}]


def test_a_line_that_is_not_json_is_an_error_that_names_it(run):
    (run.path / "metrics.jsonl").write_text('{"epoch": 1}\nnonsense\n{"epoch": 2}\n')
    with pytest.raises(runs.RunError, match="line 2"):
        run.metrics()


def test_truncation_drops_later_rows_alone(run):
    for epoch in (1, 2, 3):
        run.append([{"epoch": epoch}], {"epoch": epoch})
    run.truncate(2)
    assert [row["epoch"] for row in run.metrics()] == [row["epoch"] for row in run.timing()] == [1, 2]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(run, monkeypatch):
    run.save_checkpoint(1, ARRAYS, keep=2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.save_checkpoint(2, ARRAYS, keep=2)
    assert [f.name for f in (run.path / "checkpoints").iterdir()] == ["00000001.safetensors"]
    assert run.load_checkpoint().epoch == 1


def test_two_writers_are_kept_apart(run):
    code = (
        "import sys; from rl_depth import runs; from rl_depth.config import Config; from pathlib import Path\n"
        "try:\n"
        "    with runs.hold(Path(sys.argv[1]), Config(), resume=True): print('entered')\n"
        "except runs.RunError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True)
    assert "another process" in done.stdout


def test_an_existing_run_is_not_overwritten(tmp_path):
    path = tmp_path / "run"
    with runs.hold(path, Config(), resume=False):
        pass
    with pytest.raises(ConfigError, match="--resume"), runs.hold(path, Config(), resume=False):
        pass
    with pytest.raises(ConfigError, match="--depth 8 there, 16 here"), runs.hold(path, Config(depth=16), resume=True):
        pass
    with runs.hold(path, Config(), resume=True) as run:
        assert run.config() == Config()


def test_a_configuration_that_lost_lines_is_not_filled_up_with_defaults(tmp_path):
    path = tmp_path / "run"
    with runs.hold(path, Config(), resume=False):
        pass
    (path / "config.toml").write_text('env = "point_maze"\n')
    with pytest.raises(ConfigError, match=r"config\.toml: lacks env_steps, seed"):
        runs.open_run(path).config()


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter one")
    with pytest.raises(ConfigError, match="not a run folder"), runs.hold(tmp_path, Config(), resume=False):
        pass
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_loading_executes_nothing(run, tmp_path):
    """A pickle in place of a checkpoint is refused, not run."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/exploded",)

    folder = run.path / "checkpoints"
    folder.mkdir()
    (folder / "00000001.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(runs.RunError, match="damaged"):
        run.load_checkpoint()
    assert not (tmp_path / "exploded").exists()


def test_runs_are_found_below_a_folder(tmp_path):
    for name in ("b/two", "a"):
        with runs.hold(tmp_path / name, Config(), resume=False):
            pass
    assert [run.path for run in runs.find_runs(tmp_path)] == [tmp_path / "a", tmp_path / "b" / "two"]
    with pytest.raises(runs.RunError, match="not a run folder"):
        runs.open_run(tmp_path / "c")


def test_a_run_that_names_no_backend_stays_on_the_one_it_began_on(tmp_path):
    config = Config(env="ant_u_maze")
    with runs.hold(tmp_path / "run", config, resume=False) as run:
        assert run.config().backend is None
        run.write_meta({"env": {"backend": "spring"}})
    assert run.config().backend == "spring"
    with runs.hold(run.path, config, resume=True):
        pass
    with pytest.raises(ConfigError, match="--backend spring there, mujoco here"):
        runs.hold(run.path, Config(env="ant_u_maze", backend="mujoco"), resume=True).__enter__()
