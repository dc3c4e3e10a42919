"""The page of a report: whole in itself, safe against what runs are called, honest about what is missing, alive."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from rl_depth.analysis import frontier, report
from rl_depth.analysis.report import budgets
from rl_depth.config import ConfigError
from rl_depth.runs import RunError

from ...fabricated import spending

DEPTHS = (4, 8, 16, 32)
SPENT = spending({"mode": (0.4, 4e3), "depth=16": (0.4, 1e4), "samples=4": (0.8, 1.1e4), "samples=8": (0.8, 2e4)})
EVIL = "x:</script><img src=q onerror=alert(1)>'\"&$x^$\u202e"


class Reader(HTMLParser):
    """Tags with their attributes, and the text of the page's body, without style and script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("style", "script"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data):
        if not self._inside:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def stepped(threshold):
    """Success that rises at a depth, later for goals farther away."""
    return lambda depth: lambda distance: 0.8 if depth >= threshold * (1 if distance < 5 else 2) else 0.1


@pytest.fixture(scope="module")
def runs(fabricate, tmp_path_factory):
    """Stacked agents that rise at depth 8, looped ones at 16, six seeds each."""
    root = tmp_path_factory.mktemp("runs")
    for block, threshold in (("stacked", 8), ("looped", 16)):
        for depth in DEPTHS:
            path = root / block / f"depth{depth}"
            fabricate(path, stepped(threshold)(depth), block=block, depth=depth, seeds=6)
    (root / "looped" / "depth16" / "videos").mkdir()
    (root / "looped" / "depth16" / "videos" / "rollout.gif").write_bytes(GIF)
    (root / "extrapolate").mkdir()
    (root / "extrapolate" / "extrapolation.json").write_text(json.dumps(at_test_depths()))
    (root / "frontier.json").write_text(json.dumps(under_budgets()))
    return root


GIF = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")


def at_test_depths(**changes):
    """What ``rl-depth extrapolate`` writes of one run: best at depth 16, worse at 32."""
    values = np.array([[0.5, 0.8, 0.4], [0.6, 0.9, 0.3]])
    table = {"values": values.tolist(), "mean": values.mean(0).tolist()}
    table |= {"low": values.min(0).tolist(), "high": values.max(0).tolist()}
    verdict = {"best_depth": 16, "best": 0.85, "noise": 0.1, "reach": 16, "ratio": 2.0, "low": 2.0, "high": 2.0}
    verdict |= {"breaks_at": 32, "breakdown": "drifts"}
    run = {"run": "looped/depth8", "label": "looped, fixed:2", "env": "point_maze", "env_options": None}
    run |= {"seeds": [0, 1], "trained_depth": 8, "depths": [8, 16, 32], "latents": {}}
    run |= {"capability": {"success_any": table}, "critic": {"infonce": table}, "verdicts": {"success_any": verdict}}
    return {"protocol": {}, "made_with": {}, "runs": [run | changes]}


def under_budgets(**changes):
    """What ``rl-depth frontier`` writes of one run: samples are better than depth at one price."""
    return {"frontiers": [one.to_json() | changes for one in frontier.frontiers([SPENT])]}


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    return report.write([runs], tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(written):
    return Reader(written.page.read_text(encoding="utf-8"))


def charts(file):
    """The charts within a page."""
    return json.loads(re.search(r'id="charts">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_the_page_has_every_part_and_says_what_was_found_with_numbers(page):
    sections = [tag["id"] for tag in page.all("section")]
    assert sections == [
        "findings",
        "thresholds",
        "matched",
        "learning",
        "difficulty",
        "extrapolation",
        "budgets",
        "videos",
        "limits",
        "runs",
        "files",
    ]
    assert "How does success change with depth in point_maze, and does a weight-tied loop" in page.text
    assert re.search(
        r"Stacked: success is 0\.\d+ \[0\.\d+, 0\.\d+\] at depth 4 and 0\.\d+ \[.*?\] at depth 32", page.text
    )
    assert re.search(r"Goal difficulty\. Stacked, .*?: 2 to 4: 8 \[8, 8\]; 6: 16 \[16, 16\]", page.text)
    assert re.search(
        r"At equal depth, success of looped against stacked agents: .*worse at looped depths? 8.*: -0\.\d+ \[",
        page.text,
    )
    assert "best at test depth 16 (0.85)" in page.text and "2 times the trained depth [2, 2]" in page.text


def test_charts_hold_the_judged_values(written):
    found = charts(written.page)
    depth = next(
        chart for chart in found if chart["title"].startswith("point_maze: success (reached at least once) ag")
    )
    stacked, looped = depth["lines"]
    assert (stacked["name"], looped["name"]) == ("stacked", "looped")
    assert stacked["x"] == list(DEPTHS) and len(stacked["dots"]) == 6 * len(DEPTHS)
    assert all(low <= y <= high for low, y, high in zip(stacked["low"], stacked["y"], stacked["high"], strict=True))
    maps = [chart for chart in found if chart["kind"] == "map"]
    assert {chart["keys"]["block"]: chart["critical"] for chart in maps} == {
        "stacked": [8, 8, 16],
        "looped": [16, 16, 32],
    }
    curves = next(chart for chart in found if "while training" in chart["title"])
    assert len(curves["lines"]) == 2 * len(DEPTHS) and {line["keys"]["depth"] for line in curves["lines"]} == {
        *map(str, DEPTHS)
    }


def test_budgets_stand_with_their_prices_verdicts_and_what_training_took(written, page):
    by_flops, by_layers = (chart for chart in charts(written.page) if "point_maze, eval goals" in chart["title"])
    assert [line["name"] for line in by_flops["lines"]] == ["depth", "draws"]
    assert [line["labels"] for line in by_layers["lines"]] == [["mode", "depth=16"], ["samples=4", "samples=8"]]
    assert by_flops["lines"][1]["x"] == [11, 20] and all(low < 0.8 for low in by_flops["lines"][1]["low"])
    assert re.search(r"what none reaches for less: mode \(in 100% of resamples\): .* for 4 kFLOP; samples=4", page.text)
    assert re.search(r"depth=16 is worse than samples=4 at 1.10 times its price: -0\.\d+ \[-0", page.text)
    assert "More samples (draws) does not pay beyond 4" in page.text
    rows = list(csv.DictReader((written.page.parent / "data" / "frontier.csv").open()))
    assert [row["budget"] for row in rows] == ["mode", "depth=16", "samples=4", "samples=8"]
    assert {float(row["train_flops"]) for row in rows} == {1e9} and rows[2]["on_front_flops"] == "True"


@pytest.mark.parametrize(
    "changes",
    [
        {"points": []},
        {"bins": [[1, 2]]},
        {"train_flops": {"run": "much"}},
        {"pairs": [{"first": 0, "second": 9}]},
        {"gains": [{"run": "", "way": "draws", "dial": "samples", "steps": [{"from": 1}], "stops": None}]},
    ],
)
def test_results_under_budgets_that_are_torn_are_noted(tmp_path, changes):
    (tmp_path / "frontier.json").write_text(json.dumps(under_budgets(**changes)))
    found, (note,) = budgets.read([tmp_path])
    assert found == [] and note.endswith("frontier.json")
    (tmp_path / "frontier.json").write_text(json.dumps(under_budgets()))
    assert budgets.read([tmp_path]) == (frontier.frontiers([SPENT]), [])


def test_numbers_and_figures_lie_beside_the_page(written, page, runs):
    out = written.page.parent
    assert {tag["href"] for tag in page.all("a")} >= {str(file.relative_to(out)) for file in written.files}
    for stem in (
        "thresholds",
        "locations",
        "matched",
        "profiles",
        "learning",
        "difficulty",
        "extrapolation",
        "frontier",
    ):
        for ending, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
            assert (out / "figures" / (stem + ending)).read_bytes().startswith(start), stem
    tables = {file.stem: list(csv.DictReader(file.open())) for file in written.files if file.suffix == ".csv"}
    assert len(tables["capability"]) == 3 * 2 * len(DEPTHS) * 6 and len(tables["runs"]) == 2 * len(DEPTHS)
    assert (
        len(tables["learning"]) == 3 * 2 * len(DEPTHS) * 6 * 5 and len(tables["difficulty"]) == 3 * 2 * len(DEPTHS) * 6
    )
    content = json.loads((out / "data" / "report.json").read_text())
    assert content == json.loads(json.dumps(written.summary))
    assert [one["verdict"] for one in content["thresholds"]] and len(content["runs"]) == 2 * len(DEPTHS)


def test_nothing_is_fetched_and_only_its_own_script_may_run(written, page):
    text = written.page.read_text(encoding="utf-8")
    assert not re.search(
        r"https?:|\bfetch\b|XMLHttpRequest|\bimport\b|@import|url\(", re.sub(r"http://www.w3.org/2000/svg", "", text)
    )
    (policy,) = [tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert all(tag.get("src", "data:").startswith("data:") for _, tag in page.tags)


def test_the_table_names_every_run_its_differences_versions_and_machine(page):
    for word in (
        "looped/depth16",
        "stacked/depth4",
        "0.1.0",
        "3.11.7",
        "CPU, 2 cores, x86_64 Linux",
        "16,000 / 16,000",
    ):
        assert word in page.text
    assert "batch size 128" in page.text  # an option that all share


def test_text_of_runs_stays_text(fabricate, tmp_path, browser):
    run = fabricate(tmp_path / "runs" / "<img src=q onerror=alert(1)>'\"&$x^", 0.5, seeds=2)
    (run.path / "status.json").write_text(
        json.dumps({"state": "failed", "reason": "</table><script>alert(2)</script>"})
    )
    meta = run.meta()
    meta["sessions"][0] |= {"device": {"kind": "<i>gpu"}, "versions": {"</td>": "<u>1"}, "git": {"commit": "<s>"}}
    run.write_meta(meta)
    other = tmp_path / "runs" / "x"
    other.mkdir()
    (other / "extrapolation.json").write_text(
        json.dumps(at_test_depths(label="</script><svg onload=alert(3)>", env=EVIL))
    )
    (other / "<b>.gif").write_bytes(GIF)
    file = report.write([tmp_path / "runs"], tmp_path / "out").page
    shown = browser.open(file)
    shown.wait("document.querySelectorAll('.plot svg').length > 2")
    assert shown.errors == []
    injected = "document.querySelectorAll('main b, main i, main u, main s, main svg[onload], main script').length"
    assert shown.evaluate(injected) == 0
    assert shown.evaluate("[...document.images].every(image => image.src.startsWith('data:image/gif'))")
    text = shown.evaluate("document.body.textContent")
    for word in (
        "</table><script>alert(2)</script>",
        "<img src=q onerror=alert(1)>'\"&$x^",
        "<i>gpu",
        "<u>1",
        "<b>.gif",
    ):
        assert word in text
    assert EVIL.replace("\u202e", "\ufffd") in text and "\u202e" not in text


def test_the_page_is_alive_and_without_errors(written, browser):
    page = browser.open(written.page)
    drawn = page.wait("document.querySelectorAll('.plot svg').length")
    assert drawn == page.evaluate("[...document.querySelectorAll('figure[data-chart]')].filter(f => !f.hidden).length")
    # Hovering tells values with intervals.
    page.hover("#thresholds .plot svg")
    tip = page.wait("document.querySelector('#thresholds .tip:not([hidden])')?.innerText")
    assert re.search(r"depth (8|16)\s+stacked: 0\.\d+ \[0\.\d+, 0\.\d+\]", tip) and "looped" in tip
    # So do the arrow keys.
    page.evaluate("document.querySelector('#difficulty .plot svg').focus()")
    page.press("ArrowRight")
    assert "goal distance 2, depth 4" in page.wait(
        "document.querySelector('#difficulty .tip:not([hidden])')?.innerText"
    )
    # Switches take lines away and bring them back.
    lines = "document.querySelectorAll('#learning figure:not([hidden]) .plot path.line').length"
    every = page.evaluate(lines)
    page.click('#learning button[data-key="depth"][data-value="8"]')
    assert page.wait(f"{lines} === {every - 2}")
    page.click('#learning button[data-key="block"][data-value="looped"]')
    assert page.wait(f"{lines} === {every // 2 - 1}")
    page.click('#learning button[data-key="depth"][data-value="8"]')
    assert page.wait(f"{lines} === {every // 2}")
    # A column head sorts by number.
    page.click("#runs th:nth-child(5) button")
    depths = page.evaluate(
        "[...document.querySelectorAll('#runs table[data-sort] tbody tr')].map(r => +r.cells[4].textContent)"
    )
    assert depths == sorted(depths) and len(depths) == 2 * len(DEPTHS)
    assert page.errors == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_phones_and_both_colour_schemes(written, browser, width, dark):
    page = browser.open(written.page, width, 800, dark=dark)
    page.wait("document.querySelectorAll('.plot svg').length")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ends = "[...document.querySelectorAll('main > section > *')].map(part => part.getBoundingClientRect().right)"
    assert max(page.evaluate(ends)) <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", paper)[:3])) < 60) == dark
    assert page.errors == []


def test_one_seed_of_one_run_says_what_cannot_be_said(fabricate, tmp_path):
    fabricate(tmp_path / "run", 0.5, depth=8)
    page = Reader(report.write([tmp_path / "run"], tmp_path / "out").page.read_text())
    assert "Stacked at depth 8: success 0." in page.text and "(one seed)" in page.text
    assert "1 depth at most in a series; a threshold needs 4 or more" in page.text
    assert "a single seed at some depth has no interval" in page.text
    assert "matched" not in [tag["id"] for tag in page.all("section")]


def test_unfinished_torn_and_foreign_runs_are_listed_and_left_out(fabricate, tmp_path):
    for depth in (4, 8):
        fabricate(tmp_path / "runs" / f"depth{depth}", 0.5, depth=depth, seeds=2)
    fabricate(tmp_path / "runs" / "half", 0.5, depth=8, seeds=1, seed=7, until=0.4)
    torn = fabricate(tmp_path / "runs" / "torn", 0.5, depth=16)
    (torn.path / "metrics.jsonl").write_text("{not json\n{}\n")
    foreign = tmp_path / "runs" / "foreign"
    foreign.mkdir()
    (foreign / "config.toml").write_text('name = "another tool"\n')
    (foreign / "extrapolation.json").write_text('{"runs": [{"label": 3}]}')
    (foreign / "frontier.json").write_text(json.dumps(under_budgets(train_flops={})))
    page = Reader(report.write([tmp_path / "runs"], tmp_path / "out").page.read_text())
    for word in (
        "half interrupted",
        "torn unreadable",
        "foreign unreadable",
        "line 1 is not JSON",
        "unknown key 'name'",
    ):
        assert word in page.text, word
    assert "not as rl-depth extrapolate writes it" in page.text
    assert "not as rl-depth frontier writes it" in page.text and "Budgets" not in page.text
    assert "5 runs" in page.text and "2 unreadable" in page.text


def test_runs_without_an_evaluation_still_make_a_page(fabricate, tmp_path):
    fabricate(tmp_path / "run", 0.5, until=0.0)
    written = report.write([tmp_path / "run"], tmp_path / "out")
    page = Reader(written.page.read_text())
    assert "What will these runs show?" in page.text and "no evaluation yet" in page.text
    assert not (tmp_path / "out" / "figures" / "thresholds.png").exists()
    assert [tag["id"] for tag in page.all("section")] == ["findings", "limits", "runs", "files"]


def test_videos_beyond_the_limit_are_named_and_left_out(fabricate, tmp_path, monkeypatch):
    monkeypatch.setattr(report.inventory, "VIDEO_BYTES", 2 * len(GIF))
    run = fabricate(tmp_path / "runs" / "run", 0.5, seeds=2)
    run.videos.mkdir()
    for name in ("a.gif", "b.gif", "c.gif", "a.mp4", ".b.1.partial.mp4"):
        (run.videos / name).write_bytes(GIF)
    page = Reader(report.write([tmp_path / "runs"], tmp_path / "out").page.read_text())
    assert [tag["aria-label"] for tag in page.all("video")] == ["Episodes: a.mp4"]
    assert [tag["alt"] for tag in page.all("img")] == ["Episodes: b.gif"]
    assert "Left out, to keep this page below 0 MB of video: c.gif (0.0 MB)" in page.text


def test_a_second_report_takes_the_place_of_the_first(written, fabricate, tmp_path):
    out = shutil.copytree(written.page.parent, tmp_path / "out")
    (out / "figures" / "mine.png").write_text("mine")
    fabricate(tmp_path / "run", 0.5)
    report.write([tmp_path / "run"], out)
    names = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    assert "figures/mine.png" in names and "figures/difficulty.png" in names
    assert not {"figures/matched.png", "figures/extrapolation.pdf", "data/matched.csv"} & names
    assert [name for name in names if name.startswith(".")] == [".report.json"]


def test_what_cannot_be_written_or_found_is_one_line_and_leaves_nothing(fabricate, tmp_path):
    run = fabricate(tmp_path / "run", 0.5, seeds=2).path
    with pytest.raises(ConfigError, match=r"speed.*success_any"):
        report.write([run], tmp_path / "out", ["speed"])
    with pytest.raises(RunError, match="no run folder there"):
        report.write([tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: cannot be written"):
        report.write([run], tmp_path / "file")


def with_draws(run, reached):
    """Log what drawn actions reach beside the mode, as training does."""
    rows = run.metrics()
    for row in rows:
        offset = row["success_any"] - np.mean([r["success_any"] for r in rows if r["epoch"] == row["epoch"]])
        share = float(np.clip(row["epoch"] / rows[-1]["epoch"] * reached + offset, 0, 1))
        row |= {"drawn_success_any": share, "drawn_time_at_goal": 80 * share, "drawn_dist_final": 4 - 3 * share}
        for level in row["by_difficulty"]:
            level["drawn_success_any"] = share
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def two_ways(fabricate, tmp_path_factory):
    """Stacked agents whose mode jumps at depth 16 where their draws rise evenly; loops fail by the mode alone."""
    root = tmp_path_factory.mktemp("ways")
    for place, depth in enumerate((4, 8, 16, 32, 64)):
        run = fabricate(root / f"s{depth}", 0.8 if depth >= 16 else 0.1, depth=depth, seeds=8)
        with_draws(run, 0.2 + 0.15 * place)
    run = fabricate(root / "l32", 0.2, depth=32, block="looped", seeds=8)
    with_draws(run, 0.65)
    return root


def test_verdicts_are_of_mode_and_draws_and_say_where_they_disagree(two_ways, tmp_path):
    written = report.write([two_ways], tmp_path / "out")
    assert written.summary["metrics"][:2] == ["success_any", "drawn_success_any"]
    found = {(one["block"], one["metric"]): one for one in written.summary["thresholds"]}
    (jump,) = found["stacked", "success_any"]["jumps"]
    assert (jump["depth"], jump["label"], jump["acting"]) == (16, "confirmed", "mode alone")
    assert found["stacked", "drawn_success_any"]["verdict"] != "jump"
    text = Reader(written.page.read_text(encoding="utf-8")).text
    assert "Mode and draws. The policy's mode and its drawn actions disagree about success_any" in text
    assert "jump at 16 by the mode" in text
    assert re.search(
        r"Looped, depth 32 against stacked, depth 32 at equal depth: worse by the mode, not told apart by", text
    )
    assert "a third of the spread over seeds" in text
    assert {one["metric"] for one in written.summary["difficulty"]} == {"success_any", "drawn_success_any"}
    assert {match["metric"] for match in written.summary["matched"]} == {"success_any", "drawn_success_any"}


PAPER = """# made up
Env; Block; Depth; Metric; Mean; N; SE
{env}; stacked; 4; time_at_goal; 61; 5; 6.7
{env}; stacked; 8; time_at_goal; 66; 5; 6.7
{env}; stacked; 16; time_at_goal; 324; 5; 6.7
{env}; stacked; 32; time_at_goal; 413; 5; 6.7
{env}; stacked; 64; time_at_goal; 441; 5; 6.7
{env}; looped; 16; time_at_goal; 104; 5; 6.7
"""


def test_a_table_gets_a_page_too(tmp_path):
    (tmp_path / "paper.csv").write_text(PAPER.format(env="maze"))
    written = report.write([tmp_path / "paper.csv"], tmp_path / "out")
    page = Reader(written.page.read_text(encoding="utf-8"))
    assert [tag["id"] for tag in page.all("section")] == ["findings", "thresholds", "matched", "limits", "files"]
    assert "How does time at goal change with depth in maze" in page.text
    assert "jump at 16 in [16, 16] by +263" in page.text
    assert "normal seeds of that mean and spread stand in" in page.text
    assert all(file.is_file() for file in written.files)
    found = next(one for one in written.summary["thresholds"] if one["block"] == "stacked")
    assert found["steepest"]["from"] == 8 and found["half_at"] == 16
    assert not any(file.name == "runs.csv" for file in written.files)


def test_a_table_cannot_put_anything_into_the_page(tmp_path):
    (tmp_path / "evil.csv").write_text(PAPER.format(env=EVIL.replace(";", "")), encoding="utf-8")
    text = report.write([tmp_path / "evil.csv"], tmp_path / "out").page.read_text(encoding="utf-8")
    assert text.count("<script") == 2 and "<img" not in text


def test_runs_and_tables_are_not_mixed(runs, tmp_path):
    (tmp_path / "paper.csv").write_text(PAPER.format(env="maze"))
    with pytest.raises(RunError, match="not both"):
        report.write([runs, tmp_path / "paper.csv"], tmp_path / "out")
