"""The replay on the disk: once, in segments, and what happens where one is damaged or none was kept."""

import dataclasses

import numpy as np
import pytest

from rl_depth.config import Config, ConfigError
from rl_depth.training import footprint, session

from ..conftest import TINY

SHORT = Config(**TINY | {"env_steps": 1600, "evals": 10})
LONG = dataclasses.replace(SHORT, env_steps=2400, evals=15)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    return session.train(LONG, tmp_path_factory.mktemp("runs") / "long")


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def names(run, folder):
    return sorted(int(file.stem) for file in (run.path / folder).iterdir())


def test_a_replay_is_kept_once_for_all_checkpoints(wanted):
    """The ring holds 10 epochs; an evaluation, and so a segment, comes every 2."""
    assert names(wanted, "checkpoints") == [28, 30]
    assert names(wanted, "replay") == [20, 22, 24, 26, 28, 30]
    light = wanted.load_checkpoint(replay=False).arrays
    assert not any(name.startswith(".replay") for name in light)
    assert light.keys() < wanted.load_checkpoint().arrays.keys()
    ring = wanted.load_checkpoint().arrays[".replay.state"]
    rows = sum(one.rows for one in wanted.load_checkpoint().chain)
    assert ring.shape[1] == rows == 200


@pytest.mark.parametrize("damaged", ["latest", "shared"])
def test_a_damaged_segment_is_passed_over_and_said(wanted, tmp_path, damaged, capsys):
    run = session.train(SHORT, tmp_path / "run")
    file = run.path / "replay" / {"latest": "00000020.safetensors", "shared": "00000016.safetensors"}[damaged]
    file.write_bytes(file.read_bytes()[:-10])
    saved = run.load_checkpoint()
    assert (saved.epoch, saved.whole) == ((18, True) if damaged == "latest" else (20, False))
    assert "its replay" in saved.skipped[0]
    session.train(LONG, run.path, resume=True, quiet=False)
    said = capsys.readouterr().err
    assert "skipping damaged checkpoint 00000020" in said and ("filled anew" in said) == (damaged == "shared")
    if damaged == "latest":
        assert_equal(run.load_checkpoint().arrays, wanted.load_checkpoint().arrays)
        assert run.metrics() == wanted.metrics()


def test_without_replay_a_resumed_run_fills_it_anew_and_says_so(wanted, tmp_path, capsys):
    off = {"checkpoint_replay": "off"}
    run = session.train(dataclasses.replace(SHORT, **off), tmp_path / "run")
    assert not (run.path / "replay").exists()
    session.train(dataclasses.replace(LONG, **off), run.path, resume=True, quiet=False)
    assert "filled anew with 800 environment steps" in capsys.readouterr().err
    assert run.status()["state"] == "finished" and run.load_checkpoint().epoch == 30
    assert run.metrics()[:10] == wanted.metrics()[:10]
    whole = session.train(dataclasses.replace(LONG, **off), tmp_path / "whole")
    assert whole.metrics() == wanted.metrics()


def test_a_failing_disk_fails_the_run_with_its_last_checkpoint_kept(tmp_path, monkeypatch):
    from rl_depth.runs import checkpoints

    written, write = [], checkpoints.write_arrays

    def full(file, *rest):
        written.append(file)
        if len(written) > 6:
            raise OSError(28, "No space left on device")
        write(file, *rest)

    monkeypatch.setattr(checkpoints, "write_arrays", full)
    with pytest.raises(session.runs.RunError, match="No space left"):
        session.train(SHORT, tmp_path / "run")
    run = session.runs.Run(tmp_path / "run")
    assert run.status()["state"] == "failed" and run.load_checkpoint().epoch == 6


def test_sizes_without_room_are_refused_before_the_folder_is_made(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"needs at least [\d,.]+ .B of memory .*, this machine has"):
        session.train(dataclasses.replace(SHORT, width=10_000_000), tmp_path / "run")
    monkeypatch.setattr(footprint, "_free", lambda _: 1000)
    with pytest.raises(ConfigError, match=r"checkpoints take up to .* 1 kB are free"):
        session.train(SHORT, tmp_path / "run")
    assert not (tmp_path / "run").exists()
