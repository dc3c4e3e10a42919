"""Frames side by side, and files that players can read."""

import os

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from rl_depth.render import compose, write_video, write_videos


def picture(value, height=36, width=48):
    return np.full((height, width, 3), value, np.uint8)


def read(path):
    """Frames of a video as a decoder sees them."""
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    shape = (*meta["size"][::-1], 3)
    return meta, [np.frombuffer(frame, np.uint8).reshape(shape) for frame in reader]


def test_a_shorter_episode_holds_its_last_frame():
    frames = list(compose([[picture(10), picture(20), picture(30)], iter([picture(100)])]))
    assert [frame[0, 0, 0] for frame in frames] == [10, 20, 30]
    assert [frame[0, -1, 0] for frame in frames] == [100, 100, 100]
    assert frames[0].shape == (36, 100, 3)


def test_four_episodes_form_a_square_and_one_stays_as_it_is():
    (frame,) = compose([[picture(value)] for value in (10, 20, 30, 40)])
    assert frame.shape == (76, 100, 3)
    assert [frame[0, 0, 0], frame[0, -1, 0], frame[-1, 0, 0], frame[-1, -1, 0]] == [10, 20, 30, 40]
    (alone,) = compose([[picture(7)]])
    assert (alone == picture(7)).all()


@pytest.mark.parametrize("episodes", [[], [[]], [[picture(1)], []], [[picture(1)], [picture(1, 40)]]])
def test_episodes_that_do_not_fit_together_are_refused(episodes):
    with pytest.raises(ValueError, match="episode"):
        list(compose(episodes))


@pytest.mark.parametrize("size", [(36, 48), (35, 47)])
def test_mp4_and_gif_hold_every_frame(tmp_path, size):
    frames = [picture(10 * i, *size) for i in range(20)]
    paths = [tmp_path / "new" / "a.mp4", tmp_path / "new" / "a.gif"]
    write_videos(paths, iter(frames), 20)

    meta, decoded = read(paths[0])
    assert (meta["codec"], meta["pix_fmt"].split("(")[0], meta["size"], meta["fps"]) == (
        "h264",
        "yuv420p",
        (48, 36),
        20,
    )
    assert len(decoded) == 20
    assert all(abs(int(frame.mean()) - 10 * i) < 6 for i, frame in enumerate(decoded))

    with Image.open(paths[1]) as image:
        assert image.n_frames == 20 and image.info["duration"] == 50 and image.info["loop"] == 0
        image.seek(19)
        assert abs(np.asarray(image.convert("RGB")).mean() - 190) < 6
    assert sorted(os.listdir(tmp_path / "new")) == ["a.gif", "a.mp4"]


def test_a_fast_gif_is_thinned_out(tmp_path):
    write_video(tmp_path / "a.gif", [picture(2 * i) for i in range(100)], 100)
    with Image.open(tmp_path / "a.gif") as image:
        assert 49 <= image.n_frames <= 51 and image.info["duration"] == 20


def failing():
    yield picture(1)
    raise RuntimeError("drawing failed")


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
@pytest.mark.parametrize("frames", [failing, lambda: [picture(1), picture(1, 40)], lambda: []])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path, suffix, frames):
    target = tmp_path / f"a.{suffix}"
    target.write_text("old")
    with pytest.raises((RuntimeError, ValueError)):
        write_video(target, frames(), 20)
    assert target.read_text() == "old" and os.listdir(tmp_path) == [target.name]


def test_a_file_that_cannot_be_written_is_an_os_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/a\.mp4: cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", [picture(1)], 20)
    with pytest.raises(ValueError, match="avi"):
        write_video(tmp_path / "a.avi", [picture(1)], 20)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_full_disk_is_an_os_error_that_says_so(tmp_path, suffix, monkeypatch):
    """The temporary file becomes a link to the device that is always full."""
    from rl_depth.render import video

    touch = video.Path.touch
    monkeypatch.setattr(
        video.Path, "touch", lambda self: self.symlink_to("/dev/full") if ".partial" in self.name else touch(self)
    )
    noise = np.random.default_rng(0).integers(0, 255, (40, 90, 120, 3), np.uint8)
    with pytest.raises(OSError, match=r"cannot be written .*No space left"):
        write_video(tmp_path / f"a.{suffix}", noise, 20)
    assert os.listdir(tmp_path) == []
