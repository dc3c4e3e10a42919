"""Cells in processes of their own: killed in mid-run they go on, and none runs twice at once."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

from rl_depth import runs
from rl_depth.sweeps import executors, schedule, sweep

from ..conftest import TINY

pytestmark = pytest.mark.slow

LONG = TINY | {"env_steps": 48_000, "evals": 60, "eval_episodes": 2}


def write(folder, base, depths=(4,)):
    file = folder / "sweep.toml"
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in base.items() if key != "depth")
    file.write_text(text + f"[grid]\ndepth = {list(depths)}\n")
    return file


def wait_for(condition, seconds=100):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


def processes(path):
    """Process and parent ids of a cell's processes."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [
        (int(pid), int(parent)) for pid, parent, command in rows if command.endswith(f"rl_depth.sweeps.worker {path}")
    ]


def rows_of(path):
    return len(runs.Run(path).metrics()) if path.exists() else 0


class Sweep(threading.Thread):
    """`schedule.run` in a thread, so that the test can interfere."""

    def __init__(self, cells, executor, **options):
        super().__init__(daemon=True)
        self.work = lambda: schedule.run(cells, executor, **options)
        self.tasks = None
        self.start()

    def run(self):
        self.tasks = self.work()

    def finish(self):
        self.join(120)
        assert not self.is_alive()
        return self.tasks


def assert_went_on(cell, before):
    """The run finished from a checkpoint, one process at a time, and kept what it had logged before the kill."""
    rows = runs.Run(cell.path).metrics()
    log = (cell.path / executors.LOG).read_text()
    assert runs.Run(cell.path).status()["state"] == "finished"
    assert [row["epoch"] for row in rows] == list(cell.config.eval_epochs())
    assert rows[: len(before)] == before
    assert log.count("compiled in") == 2 and log.count("resuming after") == 1, log
    resumed = int(log.split("resuming after ")[1].split()[0].replace(",", ""))
    assert resumed > 0
    assert len(runs.Run(cell.path).meta()["sessions"]) == 2


def kill_and_finish(cell, executor, victim):
    """Run one cell, kill a process in mid-run, wait for the end; ``victim`` picks from process and parent."""
    going = Sweep([cell], executor, retries=1)
    wait_for(lambda: rows_of(cell.path) >= 3 or not going.is_alive())
    ((child, parent),) = processes(cell.path)
    before = runs.Run(cell.path).metrics()[:2]
    os.kill(victim(child, parent), signal.SIGKILL)
    (task,) = going.finish()
    assert task.state == "finished"
    assert_went_on(cell, before)
    log = (cell.path / executors.LOG).read_text()
    if victim(child, parent) == parent:  # an orphan saves, and only then does its successor begin
        assert log.index("saved; go on with") < log.index("resuming after")


def test_a_killed_local_process_is_resumed(tmp_path):
    (cell,) = sweep.read(write(tmp_path, LONG), tmp_path / "out")
    kill_and_finish(cell, executors.Local(1), lambda child, parent: child)


@pytest.mark.parametrize("which", ["the job", "its child"])
def test_a_killed_job_of_submitit_is_resumed(tmp_path, which):
    submitit = pytest.importorskip("submitit")
    (cell,) = sweep.read(write(tmp_path, LONG), tmp_path / "out")
    local = submitit.LocalExecutor(tmp_path / "out" / ".submitit")
    local.update_parameters(timeout_min=5)
    executor = executors.Submitit(local, 1, lambda job: job.done())
    kill_and_finish(cell, executor, lambda child, parent: parent if which == "the job" else child)


def test_a_job_of_submitit_that_must_make_room_saves_and_queues_again(tmp_path):
    submitit = pytest.importorskip("submitit")
    (cell,) = sweep.read(write(tmp_path, LONG), tmp_path / "out")
    local = submitit.LocalExecutor(tmp_path / "out" / ".submitit")
    local.update_parameters(timeout_min=5)
    going = Sweep([cell], executors.Submitit(local, 1, lambda job: job.done()), retries=0)
    wait_for(lambda: rows_of(cell.path) >= 3)
    ((_, job),) = processes(cell.path)
    before = runs.Run(cell.path).metrics()[:2]
    os.kill(job, signal.SIGUSR2)
    (task,) = going.finish()
    assert task.state == "finished"
    assert_went_on(cell, before)
    assert "SIGTERM: stopping after this epoch" in (cell.path / executors.LOG).read_text()


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield executors.Ray(executors.Resources(cpus=2))
    ray.shutdown()


def test_a_killed_worker_of_a_ray_cluster_is_resumed(tmp_path, cluster):
    (cell,) = sweep.read(write(tmp_path, LONG), tmp_path / "out")
    kill_and_finish(cell, cluster, lambda child, parent: parent)


def test_a_cancelled_cell_of_a_ray_cluster_saves(tmp_path, cluster):
    (cell,) = sweep.read(write(tmp_path, LONG | {"env_steps": 400_000}), tmp_path / "out")
    sweep.claim(cell)
    job = cluster.start(cell.path)
    wait_for(lambda: rows_of(cell.path) >= 2)
    job.stop()
    wait_for(lambda: job.poll() is not None)
    assert "TaskCancelledError" in job.poll()
    assert runs.Run(cell.path).status()["state"] == "interrupted"
    assert not processes(cell.path)


def test_a_ray_cluster_without_a_node_that_fits_is_refused(cluster):
    with pytest.raises(sweep.ConfigError, match="no node"):
        executors.Ray(executors.Resources(cpus=64))


def test_the_command_stops_in_good_order_and_goes_on(cli):
    write(cli.folder, LONG | {"env_steps": 400_000}, depths=(4, 8))
    cell = cli.folder / "out" / "depth4"
    process = cli.start("sweep", "sweep.toml", "--out", cli.folder / "out", "--workers", "1")
    wait_for(lambda: rows_of(cell) >= 2)
    assert len(processes(cell)) == 1
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in out and "cells that run save first" in err
    assert not processes(cell)
    assert runs.Run(cell).status()["state"] == "interrupted"
    assert runs.Run(cell.with_name("depth8")).status() == {}
    text = cli("watch", "out", "--once")
    assert "1 interrupted, 1 waiting" in text


def test_cells_of_a_sweep_that_was_killed_save_and_stop(cli):
    write(cli.folder, LONG | {"env_steps": 400_000})
    cell = cli.folder / "out" / "depth4"
    process = cli.start("sweep", "sweep.toml", "--out", cli.folder / "out")
    wait_for(lambda: rows_of(cell) >= 2)
    assert len(processes(cell)) == 1
    process.kill()
    process.communicate()
    wait_for(lambda: not processes(cell), 30)
    assert runs.Run(cell).status()["state"] == "interrupted"


def test_two_sweeps_of_one_folder_run_each_cell_once_and_a_third_does_nothing(cli):
    write(cli.folder, TINY, depths=(4, 8))
    both = [cli.start("sweep", "sweep.toml", "--out", "out", "--workers", "1") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert "2 of 2 cells finished" in out
    for name in ("depth4", "depth8"):
        path = cli.folder / "out" / name
        assert (path / executors.LOG).read_text().count("compiled in") == 1
        assert len(runs.Run(path).metrics()) == TINY["evals"]
    assert "nothing to do" in cli("sweep", "sweep.toml", "--out", "out", "--json", "cells.json")
    rows = json.loads((cli.folder / "cells.json").read_text())
    assert all(row["state"] == "finished" and row["seconds"] > 0 for row in rows)


def test_a_cell_that_fails_is_listed_with_its_reason(cli):
    write(cli.folder, TINY | {"critic_lr": 1e30, "actor_lr": 1e30, "seeds": 2})
    text = cli("sweep", "sweep.toml", "--out", "out", "--retries", "0", code=1)
    assert "0 of 1 cells finished" in text
    assert "failed: depth4:" in text and "diverged" in text
