"""The page: whole in itself, safe against what runs are called, and alive in a browser."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from rl_depth.render import write_viewer

from ...browser import Browser

EVIL = "a</script><img src=x onerror=alert(1)><!--<script>\u2028'\"&"


def data(page):
    """The clips within a page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture
def page(make_clip, tmp_path):
    """A page with two clips of unequal length, the second one ill named."""
    path = tmp_path / "page.html"
    write_viewer(path, [make_clip(frames=20), make_clip(frames=4, caption=EVIL, success=np.ones(4, bool))])
    return path


def test_captions_do_not_break_out_of_the_data(page):
    text = page.read_text()
    assert [clip["caption"] for clip in data(text)["clips"]] == ["stacked, depth 16", EVIL]
    assert text.count("</script>") == 2 and "<img" not in text


def test_nothing_is_fetched(page):
    text = page.read_text()
    assert not re.search(r"https?:|//\w+\.\w|\bfetch\b|XMLHttpRequest|\bimport\b|\blink rel=.?style", text)
    assert "default-src 'none'" in text


def test_poses_are_those_of_the_clip(page):
    clip = data(page.read_text())["clips"][0]
    stored = np.frombuffer(base64.b64decode(clip["position"]), "<u2").reshape(20, 1, 3)
    position = np.array(clip["low"]) + np.array(clip["span"]) * stored / 65535
    np.testing.assert_allclose(position[:, 0, 0], np.linspace(-1, 0, 20), atol=1e-4)
    turn = np.frombuffer(base64.b64decode(clip["quaternion"]), "<i2").reshape(20, 1, 4) / 32767
    np.testing.assert_allclose(turn, np.broadcast_to([1, 0, 0, 0], turn.shape), atol=1e-4)
    assert sum("pose" not in geom for geom in clip["geoms"]) == 1


def test_a_page_that_cannot_be_written_leaves_nothing(make_clip, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        write_viewer(tmp_path / "file" / "page.html", [make_clip()])
    with pytest.raises(ValueError, match="no clips"):
        write_viewer(tmp_path / "page.html", [])
    assert os.listdir(tmp_path) == ["file"]


def test_the_page_plays_without_an_error(page, browser):
    shown = browser.open(page, 400, 700)
    shown.wait("parseInt(document.getElementById('clock').textContent.slice(5)) > 0")
    shown.wait("document.body.textContent.includes('● at goal')")
    assert shown.errors == []
    assert shown.evaluate("document.querySelectorAll('button[data-index]').length") == 3  # all, and one per clip
    assert shown.evaluate("document.images.length") == 0
    assert shown.evaluate("document.getElementById('message').hidden")


def test_the_page_shows_robot_goal_and_walls(make_clip, tmp_path, browser):
    page = tmp_path / "page.html"
    write_viewer(page, [make_clip(frames=1)])
    shot = io.BytesIO(browser.open(page, 600, 600).screenshot())
    red, green, blue = np.asarray(Image.open(shot).convert("RGB")).astype(int).reshape(-1, 3).T
    assert ((blue > red + 80) & (blue > green + 50)).sum() > 300  # the blue point
    assert ((red > green + 60) & (red > blue)).sum() > 300  # the goal
    assert ((abs(red - green) < 12) & (green > 90) & (green < 160)).sum() > 3000  # walls


def test_without_webgl_the_page_says_so(page, tmp_path):
    with Browser(tmp_path, "--disable-3d-apis") as browser:
        shown = browser.open(page)
        message = shown.evaluate("[document.getElementById('message')].map(m => m.hidden ? '' : m.textContent)[0]")
    assert shown.errors == []
    assert "This browser has no WebGL" in message
