"""Several devices and several processes: the same numbers as one, one writer, and one line for what cannot be."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from rl_depth import runs
from rl_depth.training import hosts

_HERE = Path(__file__).parent

# Small pieces, so that gathering a state takes many; then the command as a user starts it.
_IN_PIECES = """
import sys
from rl_depth.cli.main import main
from rl_depth.training import hosts
hosts._CHUNK_BYTES = 4096
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_every_mesh_gives_the_numbers_of_one_device():
    # Devices may wait for each other long where they are more than the cores, and others use those too.
    flags = "--xla_force_host_platform_device_count=4 --xla_cpu_collective_call_terminate_timeout_seconds=600"
    environment = os.environ | {"XLA_FLAGS": flags}
    environment["PYTHONPATH"] = os.pathsep.join([str(_HERE.parent), environment.get("PYTHONPATH", "")])
    command = [sys.executable, _HERE / "spread_run.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok") == 3


between_cards = pytest.mark.skipif(
    jax.default_backend() == "cpu", reason="collectives between CPU processes mismatch or wait for ever"
)


class Step:
    """Two processes that find around them what Slurm tells the tasks of a step."""

    def __init__(self, folder: Path, *arguments: str):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        job = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", _IN_PIECES, "train", "--distributed", *arguments],
                cwd=folder,
                env=os.environ
                | job
                | {"JAX_COORDINATOR_PORT": str(port), "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for i in range(2)
        ]

    def end(self) -> list[tuple[int, str, str]]:
        """Exit code, output and errors of each, once it has ended."""
        try:
            texts = [process.communicate(timeout=150) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [(process.returncode, *text) for process, text in zip(self.processes, texts, strict=True)]


def losses(folder: Path, evaluations: int) -> np.ndarray:
    """Losses of the first evaluations."""
    names = ("critic_loss", "infonce", "actor_loss", "temperature", "logits_pos", "logits_neg")
    return np.array([[row[name] for name in names] for row in runs.Run(folder).metrics()[:evaluations]])


@between_cards
@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2], ids=["one seed's batch over both", "a seed for each"])
def test_two_processes_train_as_one_and_one_writes(cli, seeds):
    options = ["--quiet", *cli.flags(**cli.tiny, seeds=seeds, checkpoint_every=5)]
    alone = cli.start("train", "--out", "alone", *options)
    ended = Step(cli.folder, "--out", "both", *options).end()
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert "both" in ended[0][1].splitlines() and "both" not in ended[1][1].splitlines()
    _, errors = alone.communicate(timeout=120)
    assert alone.returncode == 0, errors
    run, other = runs.Run(cli.folder / "both"), runs.Run(cli.folder / "alone")
    assert len(run.metrics()) == len(other.metrics()) == 5 * seeds
    np.testing.assert_allclose(losses(run.path, 3 * seeds), losses(other.path, 3 * seeds), rtol=1e-4, atol=1e-4)
    session = run.meta()["sessions"][-1]
    assert (session["processes"], session["mesh"]) == (2, {"seed": seeds, "batch": 2 // seeds})
    arrays, wanted = run.load_checkpoint().arrays, other.load_checkpoint().arrays
    assert {n: a.shape for n, a in arrays.items()} == {n: a.shape for n, a in wanted.items()}
    np.testing.assert_allclose(arrays[".replay.state"][:, :60], wanted[".replay.state"][:, :60], atol=1e-4)


@between_cards
@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_one_device_goes_on(cli):
    options = ["--quiet", *cli.flags(**cli.tiny | {"env_steps": 40_000, "evals": 250})]
    step = Step(cli.folder, "--out", "both", *options)
    run = runs.Run(cli.folder / "both")
    deadline = time.monotonic() + 240
    while not (run.path.exists() and len(run.metrics()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    step.processes[1].send_signal(signal.SIGTERM)
    ended = step.end()
    assert [code for code, _, _ in ended] == [130, 130], ended
    assert "go on with" in ended[0][2] and "go on with" not in ended[1][2]
    assert run.status()["state"] == "interrupted"
    epoch = run.load_checkpoint().epoch
    assert epoch == run.status()["epoch"] > 0

    again = cli.start("train", "--resume", "--out", "both", "--quiet")
    while len(run.metrics()) <= epoch + 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    again.send_signal(signal.SIGTERM)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 130, errors
    assert run.load_checkpoint().epoch > epoch


@pytest.mark.slow
def test_what_one_process_refuses_both_refuse(cli):
    (cli.folder / "taken").mkdir()
    (cli.folder / "taken" / "notes.txt").write_text("mine")
    for code, _, errors in Step(cli.folder, "--out", "taken", *cli.flags(**cli.tiny)).end():
        assert code == 2
        assert errors.splitlines()[-1] == "rl-depth: error: --out taken: not empty and not a run folder"


def test_devices_that_cannot_be_used_are_refused(cli, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    options = cli.flags(**cli.tiny)
    text = cli.started("train", "--out", "run", "--devices", 3, *options, code=2)
    assert "--devices 3" in text and "--num-envs 4" in text and "possible here: 1, 2, 4" in text
    assert "must lie in 1 to 4" in cli.started("train", "--out", "run", "--devices", 5, *options, code=2)
    assert "srun --ntasks" in cli.started("train", "--out", "run", "--distributed", *options, code=2)
    assert not (cli.folder / "run").exists()


@pytest.mark.parametrize(
    ("tasks", "gpus", "chosen"),
    [
        ("4(x2)", ["0", "1", "2", "3"], None),  # one each, by its number on the node: JAX's choice
        ("1(x2)", ["0", "1", "2", "3"], [0, 1, 2, 3]),  # a node's only task takes all
        ("4(x2)", ["GPU-3"], [0]),  # Slurm shows each task its own
        ("1(x2)", [], None),
        (None, [], None),
    ],
)
def test_gpus_of_a_task(tasks, gpus, chosen):
    environment = {} if tasks is None else {"SLURM_STEP_TASKS_PER_NODE": tasks}
    assert hosts.local_gpus(environment, gpus) == chosen
