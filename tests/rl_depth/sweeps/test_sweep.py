"""Sweep files, the loop that works through them, and what a person sees of it; nothing is trained here."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from rl_depth import runs
from rl_depth.agents.cost import agent_cost
from rl_depth.config import PRESETS, Config, ConfigError
from rl_depth.sweeps import executors, overview, schedule, sweep

from ..conftest import TINY

GRID = '[grid]\ndepth = [4, 8]\nblock = ["stacked", "looped"]\n'


def write(folder, text=GRID, **base):
    file = folder / "sweep.toml"
    grid = tomllib.loads(text)["grid"]
    varied = {key for table in (grid if isinstance(grid, list) else [grid]) for key in table}
    fixed = {key: value for key, value in (TINY | base).items() if key not in varied}
    file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in fixed.items()) + text)
    return file


@pytest.mark.parametrize("file", sorted((PRESETS / "sweeps").glob("*.toml")), ids=lambda file: file.stem)
def test_every_sweep_that_ships_is_valid(file, tmp_path):
    cells = sweep.read(file, tmp_path)
    assert len(cells) > 1 and all(cell.varied for cell in cells)


def test_widths_of_the_width_depth_sweep_are_the_nearest_to_their_budgets(tmp_path):
    def parameters(depth, width):
        return agent_cost(Config(depth=depth, width=width), state_size=4, goal_size=2, action_size=2).parameters

    cells = sweep.read(PRESETS / "sweeps" / "width_depth.toml", tmp_path)
    for budget in (parameters(8, 32), parameters(8, 64)):
        own = [c for c in cells if abs(parameters(c.config.depth, c.config.width) / budget - 1) < 0.03]
        assert sorted(c.config.depth for c in own) == [4, 8, 16, 32]
        for cell in own:
            gaps = {width: abs(parameters(cell.config.depth, width) - budget) for width in range(4, 129)}
            assert cell.config.width == min(gaps, key=gaps.get)


@pytest.fixture
def cells(tmp_path):
    return sweep.read(write(tmp_path), tmp_path / "out")


def test_cells_are_all_combinations_named_after_what_varies(cells):
    assert [cell.name for cell in cells] == ["stacked-depth4", "looped-depth4", "stacked-depth8", "looped-depth8"]
    assert [(cell.config.block, cell.config.depth) for cell in cells[:2]] == [("stacked", 4), ("looped", 4)]
    assert cells[0].config.width == TINY["width"]


def test_words_that_two_options_share_carry_their_option(tmp_path):
    file = write(tmp_path, '[grid]\nactor_block = ["looped"]\ncritic_block = ["stacked", "looped"]\nremat = [true]\n')
    names = [cell.name for cell in sweep.read(file, tmp_path)]
    assert names == ["actor_block_looped-critic_block_stacked-remat", "actor_block_looped-critic_block_looped-remat"]


def test_several_grids_add_up(tmp_path):
    file = write(tmp_path, "[[grid]]\ndepth = [4]\nwidth = [16]\n[[grid]]\ndepth = [16]\nwidth = [8]\n")
    assert [cell.name for cell in sweep.read(file, tmp_path)] == ["depth4-width16", "depth16-width8"]


def test_a_preset_and_flags_go_below_and_on_top_of_the_file(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('preset = "smoke"\nwidth = 48\n[grid]\ndepth = [4]\n')
    (cell,) = sweep.read(file, tmp_path, ["--evals", "3"])
    assert (cell.config.updates, cell.config.width, cell.config.evals) == (20, 48, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no [grid]"]),
        ("grid = 3", ["no [grid]"]),
        ("[grid]\ndept = [4]", ["[grid] unknown key 'dept'", "depth"]),
        ("dept = 4\n[grid]\ndepth = [4]", ["unknown key 'dept'", "depth"]),
        ("[grid]\ndepth = []", ["depth", "empty"]),
        ("[grid]\ndepth = 4", ["depth", "list"]),
        ("[grid]\ndepth = [[4]]", ["depth", "list"]),
        ("[grid]\ndepth = [4, 4]", ["depth", "4 stands there twice"]),
        ("[grid]\ndepth = [4, 6]", ["cell depth6", "--depth 6", "4 or 8"]),
        ("[grid]\ndepth = [4, 8.5]", ["cell depth8.5", "[depth]", "must be a whole number"]),
        ('[grid]\nenv = ["point_mase"]', ["cell point_mase", "point_maze"]),
        ("[[grid]]\ndepth = [4]\n[[grid]]\ndepth = [4]", ["depth4 twice"]),
        ('preset = "smokee"\n[grid]\ndepth = [4]', ["smokee", "smoke"]),
        ("[grid", ["not TOML"]),
    ],
)
def test_a_bad_sweep_file_is_refused_in_one_line_that_names_file_and_place(tmp_path, text, words):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        sweep.read(file, tmp_path / "out")
    message = str(caught.value)
    assert "\n" not in message and not (tmp_path / "out").exists()
    assert all(word in message for word in [str(file), *words]), message


def test_a_flag_for_an_option_that_varies_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--depth"):
        sweep.read(write(tmp_path), tmp_path, ["--depth=16"])


def test_a_folder_with_another_configuration_is_refused_before_anything_is_made(tmp_path, cells):
    sweep.claim(cells[2])
    changed = sweep.read(write(tmp_path, width=16), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"stacked-depth8.*--width 8 there, 16 here"):
        sweep.check_folders(changed)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["stacked-depth8"]


class Fake(executors.Executor):
    """An executor of threads. ``script`` says how each start of a cell ends; then all end well."""

    def __init__(self, slots=2, **script):
        self.slots = slots
        self.script = script
        self.starts = []
        self.running = self.most = 0

    def start(self, path):
        self.starts.append(path.name)
        left = self.script.get(path.name.replace("-", "_"), [])
        job = FakeJob(self, path, left.pop(0) if left else "finished")
        job.thread.start()
        assert job.began.wait(10)
        return job


class FakeJob:
    def __init__(self, owner, path, end):
        self.owner, self.path, self.end = owner, path, end
        self.began, self.stopped = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        run = runs.Run(self.path)
        with runs.hold(self.path, run.config(), resume=True):
            self.owner.running += 1
            self.owner.most = max(self.owner.most, self.owner.running)
            run.write_status({"state": "running"})
            self.began.set()
            self.stopped.wait(5 if self.end == "slow" else 0.5)
            if self.stopped.is_set():
                run.write_status({"state": "interrupted"})
            elif self.end != "killed":
                run.write_status({"state": self.end, "reason": "the reason"})
            self.owner.running -= 1

    def poll(self):
        if self.thread.is_alive():
            return None
        return {"finished": "", "failed": "exit code 1", "killed": "killed by SIGKILL"}.get(self.end, "exit code 130")

    def stop(self):
        self.stopped.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(schedule, "_TICK", 0.01)
    monkeypatch.setattr(schedule, "_HELD_AGAIN", 0.05)


def states(tasks):
    return {task.cell.name: task.state for task in tasks}


def test_every_cell_runs_once_never_more_than_slots_and_a_second_call_does_nothing(cells):
    fake = Fake(slots=2)
    assert set(states(schedule.run(cells, fake, quiet=True)).values()) == {"finished"}
    assert sorted(fake.starts) == sorted(cell.name for cell in cells)
    assert fake.most == 2
    again = Fake()
    assert set(states(schedule.run(cells, again, quiet=True)).values()) == {"finished"}
    assert again.starts == []


def test_a_failed_cell_is_tried_again_so_often_and_listed_with_its_reason(cells):
    fake = Fake(stacked_depth4=["failed"] * 9, looped_depth4=["killed", "finished"])
    tasks = schedule.run(cells, fake, retries=2, quiet=True)
    assert fake.starts.count("stacked-depth4") == 3 and fake.starts.count("looped-depth4") == 2
    assert states(tasks)["stacked-depth4"] == "failed" and states(tasks)["looped-depth4"] == "finished"
    assert tasks[0].reason == "the reason"
    # A later call tries what failed before, as often as it may try again.
    later = Fake(stacked_depth4=["failed"] * 9)
    assert states(schedule.run(cells, later, retries=1, quiet=True))["stacked-depth4"] == "failed"
    assert later.starts == ["stacked-depth4"]
    assert states(schedule.run(cells, Fake(), retries=0, quiet=True))["stacked-depth4"] == "failed"
    assert states(schedule.run(cells, Fake(), retries=1, quiet=True))["stacked-depth4"] == "finished"


def test_a_cell_that_another_process_writes_is_waited_for_and_not_run(cells, capsys):
    path, config = cells[1].path, cells[1].config
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.hold(path, config, resume=True))
        # hold() keeps other openings of the lock out, of this process too.
        fake = Fake()
        found = []
        thread = threading.Thread(target=lambda: found.extend(schedule.run(cells, fake)))
        thread.start()
        time.sleep(0.5)
        assert thread.is_alive() and path.name not in fake.starts
        runs.Run(path).write_status({"state": "finished"})
    thread.join(10)
    assert path.name not in fake.starts and states(found)[path.name] == "finished"
    assert capsys.readouterr().err.count("another process is writing it") == 1


def test_a_job_that_dies_and_leaves_its_lock_behind_a_while_is_not_run_twice(cells):
    one = cells[:1]

    class Lingering(Fake):
        def start(self, path):
            job = super().start(path)
            if len(self.starts) == 1:
                job.poll = lambda: "the worker died"
                threading.Timer(0.3, job.stop).start()
            return job

    fake = Lingering(stacked_depth4=["slow"])
    tasks = schedule.run(one, fake, retries=1, quiet=True)
    assert fake.most == 1 and len(fake.starts) == 2
    assert states(tasks) == {"stacked-depth4": "finished"}
    exhausted = Lingering(stacked_depth4=["slow"])
    runs.Run(one[0].path).write_status({})
    tasks = schedule.run(one, exhausted, retries=0, quiet=True)
    assert states(tasks) == {"stacked-depth4": "failed"} and tasks[0].reason.startswith("the worker died")


def test_the_time_left_is_only_told_when_every_cell_has_one():
    assert schedule._whole({"a": 10.0, "b": None}, 1) is None
    assert schedule._whole({"a": 10.0, "b": 20.0}, 1) == 30
    assert schedule._whole({"a": 10.0, "b": 20.0}, 2) == 20


ROWS = [
    {"epoch": 4, "env_steps": 320, "grad_steps": 9, "train_seconds": 2.0, "eval_seconds": 1.0},
    {"epoch": 8, "env_steps": 640, "grad_steps": 21, "train_seconds": 3.0, "eval_seconds": 1.0},
]


def test_a_view_tells_pace_success_and_time_left_from_the_run_folder(cells):
    cell = cells[0]
    sweep.claim(cell)
    run = runs.Run(cell.path)
    assert overview.look(run).state == "waiting"
    for row in ROWS:
        run.append([row | {"seed": seed, "success_any": 0.25 * (seed + 1)} for seed in (0, 1)], row)
    run.write_status({"state": "running", "env_steps": 640})
    view = overview.look(run)
    assert view.state == "killed"
    assert (view.env_steps, view.total, view.success) == (640, 1600, (0.25, 0.5))
    assert view.pace.rate == pytest.approx(320 / 2) and view.left == pytest.approx(960 / 160)
    assert view.pace.spent == pytest.approx(5)


def test_a_killed_run_is_told_from_one_that_goes_on(cells):
    sweep.claim(cells[0])
    run = runs.Run(cells[0].path)
    run.append([ROWS[0] | {"seed": 0, "success_any": 1.0}], ROWS[0])
    run.write_status({"state": "running"})
    assert (overview.look(run).state, overview.look(run).note) == ("killed", "its process is gone; go on with --resume")
    with runs.hold(run.path, cells[0].config, resume=True):
        assert (overview.look(run).state, overview.look(run).note) == ("running", "")
        for file in run.path.iterdir():
            os.utime(file, (time.time() - 3600,) * 2)
        assert overview.look(run).note == "no sign of life for 1 h 00 min; killed?"


def test_depths_are_listed_in_order(tmp_path):
    for cell in sweep.read(write(tmp_path, "[grid]\ndepth = [16, 4, 8]\n"), tmp_path):
        sweep.claim(cell)
    assert [view.name for view in overview.Watcher(tmp_path).views()] == ["depth4", "depth8", "depth16"]


@pytest.mark.parametrize("name", ["status.json", "metrics.jsonl", "timing.jsonl", "config.toml"])
@pytest.mark.parametrize("content", [b'{"state": "runn', b"3\n", b"[]\n", b"\xff\xfe\n{}\n", b'{"epoch": null}\n', b""])
def test_torn_and_foreign_files_show_as_unreadable_and_take_nothing_down(cells, name, content):
    cell = cells[0]
    sweep.claim(cell)
    run = runs.Run(cell.path)
    run.append([ROWS[0] | {"seed": 0, "success_any": 1.0}], ROWS[0])
    run.write_status({"state": "running"})
    (cell.path / name).write_bytes(content)
    view = overview.look(run)
    assert view.state in ("killed", "waiting", "unreadable")
    overview.table([view], "a title")


def test_watch_shows_runs_prints_once_and_says_when_there_are_none(cli, cells):
    for cell in cells:
        sweep.claim(cell)
    runs.Run(cells[0].path).write_status({"state": "failed", "reason": "[bold]the disk[/bold] is full"})
    text = cli("watch", "out", "--once", "--json", "views.json")
    assert "1 failed, 3 waiting" in text and "[bold]the disk[/bold]" in text
    views = json.loads((cli.folder / "views.json").read_text())
    assert views[0]["name"] == "looped-depth4" and views[2]["state"] == "failed"
    assert "no run folder there" in cli.refuse("watch", "nowhere", "--once")
    runs.Run(cells[0].path).write_status({"state": "running"})
    assert "1 killed, 3 waiting" in cli("watch", "out", "--once")


def test_watch_waits_for_a_folder_and_ends_once_nothing_can_go_on(cells, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(overview, "_TICK", 0.01)
    out = cells[0].path.parent

    def work():
        time.sleep(0.2)
        for cell in cells:
            sweep.claim(cell)
            runs.Run(cell.path).write_status({"state": "finished" if cell is not cells[0] else "failed"})

    thread = threading.Thread(target=work)
    thread.start()
    overview.Watcher(out).follow()
    thread.join()
    assert capsys.readouterr().err.startswith(f"waiting for a run in {out}")


def test_watch_needs_no_jax():
    code = "import sys, rl_depth.sweeps.overview; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_dry_run_prints_the_cells_and_makes_nothing(cli):
    write(cli.folder, seeds=2)
    text = cli("sweep", "sweep.toml", "--out", "out", "--dry-run", "--json", "cells.json", "--evals", "2")
    assert "looped-depth8" in text and "unknown until the first cell has run" in text
    assert not (cli.folder / "out").exists()
    rows = json.loads((cli.folder / "cells.json").read_text())
    by_name = {row["name"]: row for row in rows}
    assert by_name["stacked-depth8"]["parameters"] > by_name["looped-depth8"]["parameters"]
    assert by_name["stacked-depth8"]["flops_per_update"] == by_name["looped-depth8"]["flops_per_update"]
    assert all(row["seconds"] is None and row["memory_bytes"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.toml"], ["absent.toml", "cannot be read"]),
        (["sweep.toml", "--dept", "4"], ["--dept"]),
        (["sweep.toml", "--depth", "4"], ["--depth", "varies"]),
        (["sweep.toml", "--retries", "-1"], ["--retries -1"]),
        (["sweep.toml", "--workers", "0"], ["--workers 0"]),
        (["sweep.toml", "--executor", "cloud"], ["cloud", "slurm"]),
        (["sweep.toml", "--slurm-partition", "gpu"], ["--slurm-partition gpu", "--executor slurm"]),
        (["sweep.toml", "--gpus-per-cell", "1"], ["--gpus-per-cell 1", "slurm or ray"]),
    ],
    ids=" ".join,
)
def test_bad_calls_are_answered_with_one_line(cli, arguments, words):
    write(cli.folder)
    message = cli.refuse("sweep", *arguments)
    assert all(word in message for word in words), message


def test_local_workers_are_never_more_than_cores_or_gpus(monkeypatch):
    monkeypatch.setattr(executors, "gpus", lambda: [])
    cores = len(os.sched_getaffinity(0))
    assert executors.Local(cores).slots == cores
    assert executors.Local().slots == max(1, cores // 2)
    with pytest.raises(ConfigError, match=f"--workers {cores + 1}.*{cores} cores"):
        executors.Local(cores + 1)
    monkeypatch.setattr(executors, "gpus", lambda: ["2", "5"])
    assert executors.Local().slots == 2
    with pytest.raises(ConfigError, match="2 GPUs"):
        executors.Local(3)


def test_each_process_gets_a_gpu_of_its_own(monkeypatch):
    class Process:
        returncode = None

        def poll(self):
            return self.returncode

    given, processes = [], []

    def spawn(path, environment, options):
        given.append(environment["CUDA_VISIBLE_DEVICES"])
        processes.append(Process())
        return processes[-1]

    monkeypatch.setattr(executors, "gpus", lambda: ["2", "5"])
    monkeypatch.setattr(executors, "spawn", spawn)
    local = executors.Local()
    jobs = [local.start(Path("a")), local.start(Path("b"))]
    processes[0].returncode = -9
    assert [job.poll() for job in jobs] == ["killed by SIGKILL", None]
    local.start(Path("c"))
    assert given == ["2", "5", "2"]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for Slurm's programs: ``sbatch`` keeps the script, ``squeue`` lists what the file ``queue`` says."""
    pytest.importorskip("submitit")
    programs = {
        "srun": "",
        "sbatch": f'cp "$1" {tmp_path}/submitted; echo Submitted batch job 7',
        "squeue": f"cat {tmp_path}/queue",
    }
    (tmp_path / "bin").mkdir()
    for name, body in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_a_slurm_job_asks_for_what_the_options_say(slurm, cells):
    resources = executors.Resources(cpus=4, gpus=1, memory=16)
    executor = executors.slurm(slurm / "jobs", resources, minutes=90, partition="long", account="maze")
    sweep.claim(cells[0])
    job = executor.start(cells[0].path)
    script = (slurm / "submitted").read_text()
    wanted = ["partition=long", "account=maze", "time=90", "cpus-per-task=4", "gpus-per-node=1", "mem=16GB"]
    assert all(f"#SBATCH --{line}\n" in script for line in wanted), script
    (slurm / "queue").write_text("7\n")
    assert job.poll() is None


def test_a_slurm_job_that_leaves_the_queue_without_a_result_has_ended(slurm, cells, monkeypatch):
    executor = executors.slurm(slurm / "jobs", executors.Resources(), minutes=90, partition=None, account=None)
    sweep.claim(cells[0])
    job = executor.start(cells[0].path)
    clock = iter(range(1000, 2000, 20))
    monkeypatch.setattr(executors.time, "monotonic", lambda: next(clock))
    (slurm / "queue").write_text("7\n8\n")
    assert [job.poll() for _ in range(4)] == [None] * 4
    (slurm / "queue").write_text("8\n")
    polls = [job.poll() for _ in range(4)]
    assert polls[0] is None and "ended without a result" in polls[-1]


def test_many_slurm_jobs_are_submitted_as_one_array_and_told_apart_in_the_queue(slurm, cells, monkeypatch):
    executor = executors.slurm(slurm / "jobs", executors.Resources(), minutes=90, partition=None, account=None)
    for cell in cells:
        sweep.claim(cell)
    jobs = executor.start_all([cell.path for cell in cells])
    assert "#SBATCH --array=0-3%4\n" in (slurm / "submitted").read_text()
    assert [job.job.job_id for job in jobs] == ["7_0", "7_1", "7_2", "7_3"]
    clock = iter(range(1000, 2000, 20))
    monkeypatch.setattr(executors.time, "monotonic", lambda: next(clock))
    (slurm / "queue").write_text("7_0\n7_2\n7_3\n")
    polls = [[job.poll() for job in jobs[:2]] for _ in range(3)][-1]
    assert polls[0] is None and "7_1 ended without a result" in polls[1]


def test_without_slurm_its_executor_is_refused(cli, monkeypatch):
    write(cli.folder)
    (cli.folder / "bin").mkdir()
    monkeypatch.setenv("PATH", str(cli.folder / "bin"))
    assert shutil.which("sbatch") is None
    assert "no sbatch" in cli.refuse("sweep", "sweep.toml", "--executor", "slurm")
