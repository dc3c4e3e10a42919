"""Episodes of runs and of random agents, from the command line to the files."""

import re

import imageio_ffmpeg
import numpy as np
import pytest

from rl_depth import render
from rl_depth.config import Config, ConfigError
from rl_depth.evaluation import episodes
from rl_depth.render.frames import band_height
from rl_depth.training import session


def shape(video):
    """Width, height and frames of a video."""
    reader = imageio_ffmpeg.read_frames(str(video))
    width, height = next(reader)["size"]
    return width, height, sum(1 for _ in reader)


@pytest.fixture
def software(monkeypatch):
    monkeypatch.setattr(render, "choose_backend", lambda: "software")
    monkeypatch.setattr(render, "backend_report", lambda: "software ray caster")


def test_a_random_agent_from_the_command_line(cli):
    text = cli("render", "--env", "point_maze", "--policy", "random", "--size", 96, 80, "--episodes", 1, "--gif")
    folder = cli.folder / "runs" / "render" / "point_maze"
    assert sorted(file.name for file in folder.iterdir()) == ["rollout.gif", "rollout.html", "rollout.mp4"]
    assert len(re.findall("written: ", text)) == 3 and len(re.findall("drawing with ", text)) == 1
    assert shape(folder / "rollout.mp4") == (96, 80 + band_height((96, 80)), 101)


@pytest.mark.slow
def test_a_random_ant_from_the_command_line(cli):
    cli("render", "--env", "ant", "--policy", "random", "--size", 96, 80, "--episodes", 1, "--out", "out")
    assert shape(cli.folder / "out" / "rollout.mp4")[2] > 1


def test_runs_go_side_by_side_with_the_same_starts_and_goals(cli, software, monkeypatch, capsys):
    runs = [cli.folder / "a", cli.folder / "b"]
    for run, block in zip(runs, ("stacked", "looped"), strict=True):
        session.train(
            Config(**cli.tiny | {"env_steps": 400, "evals": 1}, block=block), run, resume=False, quiet=True, trackers=[]
        )
    shown = []
    monkeypatch.setattr(render, "write_viewer", lambda path, clips: shown.extend(clips))
    files = episodes.show_runs(runs, episodes.Options(episodes=2, size=(64, 64)))
    assert [file.relative_to(cli.folder).as_posix() for file in files] == [
        "a/videos/rollout.mp4",
        "a/videos/rollout.html",
    ]
    assert [clip.caption for clip in shown] == [
        f"{block}, depth 4 · episode {episode}" for episode in (1, 2) for block in ("stacked", "looped")
    ]
    for one, other in (shown[:2], shown[2:]):
        np.testing.assert_array_equal(one.goal, other.goal)
        np.testing.assert_array_equal(one.qpos[0], other.qpos[0])
        assert not np.array_equal(one.qpos, other.qpos)
    assert not np.array_equal(shown[0].goal, shown[2].goal)
    assert shape(files[0]) == (132, 64 + band_height((64, 64)), 2 * 101 + 6)
    assert "drawing with software ray caster" in capsys.readouterr().err

    with pytest.raises(ConfigError, match=r"--depth: depth 8.*stacked"):
        episodes.show_runs(runs, episodes.Options(depth=8))
    with pytest.raises(ConfigError, match=r"elsewhere.*train, eval"):
        episodes.show_runs(runs, episodes.Options(split="elsewhere"))


def test_an_episode_ends_when_it_is_done_or_its_physics_breaks():
    import jax

    from rl_depth import envs

    env = envs.make("point_maze")
    first = env.reset(jax.random.key(0))
    steps = {
        "qpos": np.zeros((9, 2)),
        "goal": np.zeros((9, 3)),
        "success": np.zeros(9, bool),
        "done": np.zeros(9, bool),
    }
    assert len(episodes._clip(env, first, steps, "")) == 9
    steps["done"][5:] = True
    assert len(episodes._clip(env, first, steps, "")) == 6
    steps["qpos"][3:] = np.nan
    assert len(episodes._clip(env, first, steps, "")) == 3


@pytest.mark.parametrize(
    ("name", "backend", "split", "words"),
    [
        ("point_mase", None, None, "point_maze"),
        ("point_maze", "mjx", None, "planar"),
        ("point_maze", None, "elsewhere", "train, eval"),
    ],
)
def test_bad_names_are_refused_in_one_line(tmp_path, name, backend, split, words):
    with pytest.raises(ConfigError, match=words) as refused:
        episodes.show_random(name, backend, episodes.Options(split=split), tmp_path)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--out .*cannot be written"):
        episodes.show_random("point_maze", None, episodes.Options(), tmp_path / "file" / "out")
