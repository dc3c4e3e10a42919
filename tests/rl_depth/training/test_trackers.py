"""Trackers against the real packages, offline: names, steps, and nothing twice after a resume."""

import json

import pytest

from rl_depth import runs
from rl_depth.config import Config, ConfigError
from rl_depth.training import trackers

from ..conftest import TINY

CONFIG = Config(**TINY, seeds=2)
TIMING = {"train_seconds": 3.0, "env_steps_per_second": 80.0, "eval_seconds": 0.5}


def rows(env_steps):
    level = {"goal_distance": 4.0, "episodes": 8, "success_any": 0.5}
    place = {"epoch": env_steps // 80, "env_steps": env_steps, "grad_steps": 3}
    return [
        place | {"seed": s, "split": "eval", "success_any": 0.5, "infonce": 2.0, "by_difficulty": [level]}
        for s in (0, 1)
    ]


@pytest.fixture
def run(tmp_path):
    with runs.hold(tmp_path / "grün run", CONFIG, resume=False) as run:
        yield run


def test_the_field_s_names():
    found = trackers.scalars(rows(80)[0], TIMING)
    assert found == {
        "eval/episode_success_any": 0.5,
        "training/infonce": 2.0,
        "training/walltime": 3.0,
        "training/sps": 80.0,
        "eval/epoch_eval_time": 0.5,
    }


def test_tensorboard_purges_what_a_resumed_run_writes_again(run):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import RecordWriter

    del RecordWriter
    for begin, steps in ((0, (80, 160)), (80, (160, 240))):  # killed after 160, its checkpoint is that of 80
        one = trackers.TensorBoard()
        one.open(run, CONFIG, begin)
        for env_steps in steps:
            one.log(rows(env_steps), TIMING)
        one.close()
    kept: dict[str, list[int]] = {}
    for file in sorted((run.path / "tensorboard" / "seed0").iterdir(), key=lambda file: file.stat().st_mtime_ns):
        for event in events(file, event_pb2.Event):
            if event.session_log.status == event.session_log.START:
                kept = {name: [step for step in own if step < event.step] for name, own in kept.items()}
            for value in event.summary.value:
                kept.setdefault(value.tag, []).append(event.step)
    assert kept["eval/episode_success_any"] == kept["training/sps"] == [80, 160, 240]


def events(file, kind):
    """Events of a file: length and its checksum (12 bytes), the event, its checksum (4 bytes)."""
    data, place = file.read_bytes(), 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        yield kind.FromString(data[place + 12 : place + 12 + size])
        place += size + 16


def test_wandb_goes_on_with_the_same_runs_and_sends_nothing_twice(run, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    sent, begun = [], []
    whole = wandb.init

    def init(**options):
        begun.append(options)
        own = whole(**options)
        log = own.log
        monkeypatch.setattr(own, "log", lambda values: (sent.append((options["id"], values)), log(values)))
        return own

    monkeypatch.setattr(wandb, "init", init)
    for begin, steps in ((0, (80, 160)), (80, (160, 240))):
        one = trackers.Wanted(wandb="depth", wandb_mode="offline").trackers()[0]
        one.open(run, CONFIG, begin)
        for env_steps in steps:
            one.log(rows(env_steps), TIMING)
        one.close()
    ids = {seed: own["id"] for seed, own in json.loads((run.path / "wandb.json").read_text()).items()}
    assert len(set(ids.values())) == 2
    assert [options["id"] for options in begun] == [ids["0"], ids["1"]] * 2
    assert all(options["resume"] == "allow" and options["group"] == "grün run" for options in begun)
    assert begun[1]["tags"] == ["point_maze", "stacked", "depth 4"] and begun[1]["config"]["seed"] == 1
    assert [values["env_steps"] for own, values in sent if own == ids["0"]] == [80, 160, 240]
    assert all("eval/episode_success_any" in values for _, values in sent)
    assert list((run.path / "wandb").glob("offline-run-*"))


def test_what_is_wanted_passes_through_a_word_and_is_checked():
    wanted = trackers.Wanted(True, "depth", "team", "offline", "a sweep")
    assert trackers.Wanted.from_json(wanted.to_json()) == wanted
    with pytest.raises(ConfigError, match="--wandb-mode on: must be online, offline, disabled"):
        trackers.Wanted(wandb="depth", wandb_mode="on")
    with pytest.raises(ConfigError, match="--wandb-entity team: add --wandb"):
        trackers.Wanted(wandb_entity="team")
