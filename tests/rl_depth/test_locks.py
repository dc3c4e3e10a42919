"""Who may enter a run folder, on file systems without locks too."""

import errno
import fcntl
import json
import os
import platform

import pytest

from rl_depth import runs
from rl_depth.config import Config, RunError
from rl_depth.runs import locks


@pytest.fixture
def no_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def owner(path, **changes):
    own = {"host": platform.node(), "pid": os.getpid(), "since": locks._since(os.getpid())}
    (path / ".lock.owner").write_text(json.dumps(own | changes))


def test_without_locks_a_file_keeps_others_out_and_goes(tmp_path, no_locks, capsys):
    with runs.hold(tmp_path / "run", Config(), resume=False) as run:
        assert json.loads((run.path / ".lock.owner").read_text())["pid"] == os.getpid()
        with (
            pytest.raises(RunError, match=f"process {os.getpid()} is writing"),
            runs.hold(run.path, Config(), resume=True),
        ):
            pass
    assert not (run.path / ".lock.owner").exists()
    assert capsys.readouterr().err.count("has no locks") == 1
    assert run.is_held() is None


def test_the_file_of_a_process_that_is_no_more_is_taken_over(tmp_path, no_locks):
    with runs.hold(tmp_path / "run", Config(), resume=False) as run:
        pass
    for changes in ({"since": "1"}, {"pid": 2**22 + 1, "since": None}):
        owner(run.path, **changes)
        with runs.hold(run.path, Config(), resume=True):
            pass


def test_a_process_of_another_machine_is_named(tmp_path, no_locks):
    with runs.hold(tmp_path / "run", Config(), resume=False) as run:
        pass
    owner(run.path, host="node7", pid=12)
    with pytest.raises(RunError, match=r"process 12 on node7 .* delete"), runs.hold(run.path, Config(), resume=True):
        pass
    (run.path / ".lock.owner").write_text("?")
    with pytest.raises(RunError, match="may be writing"), runs.hold(run.path, Config(), resume=True):
        pass


def test_whether_a_run_is_held_can_be_told_without_disturbing_it(tmp_path):
    with runs.hold(tmp_path / "run", Config(), resume=False) as run:
        assert run.is_held() is True
    assert run.is_held() is False


def test_a_full_disk_at_the_start_leaves_no_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(runs.folder.ConfigError, match="No space left"),
        runs.hold(tmp_path / "run", Config(), resume=False),
    ):
        pass
    assert not (tmp_path / "run").exists()
