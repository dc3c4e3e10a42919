"""The page: sections in words and tables, and charts as JSON that its script draws.

Style and script are named by their digests in the page's policy, so that nothing else can run or be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import plots, significance
from ..compare.matched import TOLERANCE, axis_label
from . import budgets, charts, inventory, words
from .charts import Chart
from .evidence import Evidence, levels
from .inventory import RunFacts, Video
from .markup import Child, Markup, element, embedded, plain

_HERE = Path(__file__).parent
_LINKED = 60  # runs that a cell names


def render(evidence: Evidence, files: Sequence[str]) -> str:
    """The whole page.

    Args:
      evidence: what it tells.
      files: figures and tables beside it, as paths from it.
    """
    drawn: list[Chart] = []
    question = words.question(evidence)
    sections = [section for section in _sections(evidence, drawn, files) if section is not None]
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = [
        element(
            "header",
            element("h1", question),
            element("p", _facts(evidence), class_="facts"),
            element("nav", element("ul", links), aria_label="Sections"),
        ),
        element("main", [element("section", element("h2", title), content, id=n) for n, title, content in sections]),
        element(
            "noscript", element("p", "The charts need JavaScript; the same figures lie in figures/ beside this page.")
        ),
    ]
    style, script = (Markup((_HERE / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("link", rel="icon", href="data:,"),
        element("title", question),
        element("style", style),
    ]
    data = element("script", embedded(drawn), type="application/json", id="charts")
    page = element("html", element("head", head), element("body", body, data, element("script", script)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _policy(style: str, script: str) -> str:
    def named(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = f"style-src {named(style)}; script-src {named(script)}; img-src data:; media-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _sections(evidence: Evidence, drawn: list[Chart], files: Sequence[str]) -> Iterable[tuple[str, str, Child] | None]:
    """Name, title and content of each section that has something to show; their charts go into ``drawn``."""
    yield "findings", "Findings", _findings(evidence)
    thresholds = charts.thresholds(evidence)
    if thresholds:
        about = (
            "Final capability against depth: each dot is a seed, lines are interquartile means over seeds with 95% "
            "bootstrap intervals, and a dashed line in a shaded span marks a jump and the interval of its depth."
        )
        yield "thresholds", "Thresholds", [_about(about), _charts(thresholds, drawn), *_judged(evidence)]
    if evidence.matches:
        about = (
            "Each looped group of agents against a stacked one of equal depth, of parameters or FLOPs per gradient "
            f"step within a factor of {TOLERANCE:g}, and after equal training time; differences of interquartile means "
            f"with 95% bootstrap intervals. Better and worse are said from {significance.LEAST_SEEDS} seeds of either "
            "on, by a permutation test of ranks that is corrected (Holm) for all comparisons of this page: if nothing "
            f"differs, {significance.LEVEL:.0%} of such pages say it of any."
        )
        yield "matched", "Equal cost", [_about(about), _charts(charts.matched(evidence), drawn), _matches(evidence)]
    learning = charts.learning(evidence)
    if learning:
        about = (
            "Evaluations while training: medians over seeds, and their range as a band. Stronger colours are deeper."
        )
        yield "learning", "Learning curves", [_about(about), _charts(learning, drawn, wide=True)]
    maps = charts.maps(evidence)
    if maps:
        about = (
            "Final capability by distance to the goal and depth; a frame marks the critical depth of each distance, "
            "the first whose mean passes half of the way to the best."
        )
        yield "difficulty", "Goal difficulty", [_about(about), _charts(maps, drawn)]
    tested = charts.extrapolated(evidence)
    if tested:
        about = (
            "Looped agents acting with more applications of their block than they were trained with: means over "
            "seeds with 95% bootstrap intervals; dashed lines mark the largest trained depths."
        )
        yield "extrapolation", "Beyond the trained depth", [_about(about), _charts(tested, drawn)]
    spent = charts.frontiers(evidence)
    if spent:
        about = (
            "What an action may cost, and what comes of it: means over seeds and episodes with 95% bootstrap intervals "
            "over both. A budget is on the front if none is as good for as little; beside it, in which share of "
            "resamples that is so. Better and worse at one price are said as above, corrected for the pairs of one "
            "environment. Prices are of one action; what training took stands beside them, per seed."
        )
        made = [_table(*one) for found in evidence.frontiers for one in budgets.tables(found)]
        yield "budgets", "Budgets of an action", [_about(about), _charts(spent, drawn), made]
    if evidence.videos:
        yield "videos", "Episodes", _videos(evidence.videos)
    limits = [_with_code(text) for text in words.limits(evidence)]
    if limits:
        yield "limits", "What cannot be said", element("ul", [element("li", text) for text in limits])
    if evidence.runs:
        yield "runs", "Runs", _runs(evidence)
    yield "files", "Figures and numbers", _files(files)


def _about(text: str) -> Markup:
    return element("p", text, class_="about")


def _facts(evidence: Evidence) -> str:
    """``20 runs, 100 agents, 2 environments, depths 4 to 64``; of tables, agents are seeds of the first metric."""
    agents = sum(len(one.seeds) for one in evidence.runs) or sum(len(one.values) for one in evidence.cells)
    depths = sorted({one.depth for one in evidence.agents})
    parts = [_count(len(evidence.runs), "run")] if evidence.runs else []
    parts += [_count(agents, "agent"), _count(len(evidence.environments), "environment")]
    if depths:
        parts.append(f"depth {depths[0]}" if len(depths) == 1 else f"depths {depths[0]} to {depths[-1]}")
    states = [one.state for one in evidence.runs]
    parts += [f"{states.count(state)} {state}" for state in sorted(set(states)) if state != "finished"]
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _findings(evidence: Evidence) -> Child:
    """Statements under their environment, led by their topic."""
    statements = words.findings(evidence)
    if not statements:
        return element("p", "Nothing can be judged yet.")
    many = len({one.env for one in statements}) > 1
    parts: list[Child] = []
    for env in dict.fromkeys(one.env for one in statements):
        own = [one for one in statements if one.env == env]
        parts.append(element("h3", env) if many else None)
        parts.append(
            element("ul", [element("li", element("span", f"{one.topic}. ", class_="topic"), one.text) for one in own])
        )
    parts.append(
        _about(
            "Values are interquartile means over seeds with 95% bootstrap intervals in brackets. A jump is a change "
            "within one doubling of depth that no smooth curve explains; gradual, a change that a smooth curve does; "
            "flat, none; undecided, too few seeds to say. A jump of a thresholded metric such as success is confirmed "
            "if a continuous one jumps with it, and metric-induced if none does. Metrics are of the policy's mode "
            "unless they say drawn actions; a jump by the mode alone, or by draws alone, is due to how the policy acts."
        )
    )
    return parts


def _charts(made: Sequence[Chart], drawn: list[Chart], *, wide: bool = False) -> Child:
    """Switches, and a figure per chart."""
    figures = []
    for chart in made:
        figures.append(
            element(
                "figure",
                element("figcaption", chart["caption"]),
                element("div", class_="plot"),
                data_chart=len(drawn),
            )
        )
        drawn.append(chart)
    return [_switches(made, choose_metric=wide), element("div", figures, class_="charts wide" if wide else "charts")]


def _switches(made: Sequence[Chart], *, choose_metric: bool) -> Child:
    keys: dict[str, dict[str, None]] = {}
    for chart in made:
        for line in chart.get("lines", [chart]):
            for key, value in line["keys"].items():
                keys.setdefault(key, {})[value] = None
    parts: list[Child] = []
    metrics = list(dict.fromkeys(chart["metric"] for chart in made))
    if choose_metric and len(metrics) > 1:
        options = [element("option", plots.metric_label(metric), value=metric) for metric in metrics]
        parts.append(element("label", element("span", "metric "), element("select", options, data_metric=True)))
    for key, values in keys.items():
        if len(values) > 1:
            parts.append(element("span", key))
            parts += [
                element("button", value, type="button", aria_pressed="true", data_key=key, data_value=value)
                for value in sorted(values, key=lambda value: int(value) if value.isdecimal() else 0)
            ]
    return element("div", parts, class_="switches", role="group", aria_label="What to show") if parts else None


def _judged(evidence: Evidence) -> list[Child]:
    """Verdicts in words, and the numbers behind the charts over depth."""
    verdicts = [[one.env, one.block, words.name(one.metric), one.text] for one in evidence.findings]
    told = [one for one in evidence.agreements if one.found.ratio is not None]
    places = [[one.env, one.looped, words.name(one.metric), one.text] for one in told]
    names = ["environment", "block", "metric", "finding"]
    found: list[Child] = [_table("Does capability jump?", names, verdicts)]
    if places:
        found.append(_table("Do thresholds fall at the same effective depth? Looped over stacked", names, places))
    rows = []
    for series in evidence.series:
        for one in levels(series):
            interval = "" if one.low is None else f"{one.low:.4g} to {one.high:.4g}"
            rows.append([series.env, series.block, series.metric, one.depth, one.seeds, f"{one.value:.4g}", interval])
    names = ["environment", "block", "metric", "depth", "seeds", "interquartile mean", "95% interval"]
    table = _table("Final capability by depth", names, rows, numbers={3, 4, 5})
    return [*found, element("details", element("summary", "The numbers"), table)]


def _matches(evidence: Evidence) -> Markup:
    """All pairs; what has no partner says why."""
    rows = []
    for match in evidence.matches:
        found = match.to_json()
        cells = [_interval(found["difference"]), _interval(found["improvement"])]
        partner = match.stacked or match.text.removeprefix(f"{match.looped}: ")
        p = "" if match.p is None else f"{match.p:.2g}"
        place = [match.env, words.name(match.metric), match.looped, axis_label(match.axis), partner]
        rows.append([*place, *cells, p, match.outcome])
    names = ["environment", "metric", "looped", "equal", "stacked", "difference", "probability of improvement"]
    table = _table("Looped less stacked", [*names, "corrected p", "looped is"], rows)
    return element("details", element("summary", "All pairs"), table)


def _interval(found: Mapping[str, float | None] | None) -> str:
    if found is None:
        return ""
    ends = "" if found["low"] is None else f" [{found['low']:.3g}, {found['high']:.3g}]"
    return f"{found['value']:.3g}{ends}"


def _videos(videos: Sequence[Video]) -> Child:
    shown = [video for video in videos if video.content is not None]
    left = [video for video in videos if video.content is None]
    players = [element("figure", _player(video), element("figcaption", video.name)) for video in shown]
    films = sum(video.kind.startswith("video") for video in shown)
    button = element("button", "Play all from the start, or pause", type="button", id="together")
    parts: list[Child] = [element("p", button) if films > 1 else None, element("div", players, class_="videos")]
    if left:
        names = words.listed(f"{video.name} ({video.size / 1e6:.1f} MB)" for video in left[:_LINKED])
        more = f" and {len(left) - _LINKED} more" if len(left) > _LINKED else ""
        text = f"Left out, to keep this page below {inventory.VIDEO_BYTES / 1e6:.0f} MB of video: {names}{more}."
        parts.append(_about(text))
    return parts


def _player(video: Video) -> Markup:
    source = f"data:{video.kind};base64,{base64.b64encode(video.content or b'').decode()}"
    label = f"Episodes: {video.name}"
    if video.kind == "image/gif":
        return element("img", src=source, alt=label)
    return element("video", src=source, controls=True, loop=True, muted=True, playsinline=True, aria_label=label)


def _runs(evidence: Evidence) -> Child:
    """All runs, with the options in which they differ; what they share; software and hardware."""
    differ = inventory.differing(evidence.runs)
    names = ["run", "state", "environment", "block", "depth", *(name.replace("_", " ") for name in differ), "seeds"]
    names += ["env steps", *map(words.name, evidence.metrics), "parameters", "train time (s)", "setup", "note"]
    first = 5 + len(differ)
    right = {4, *range(first + 1, first + 4 + len(evidence.metrics))}
    rows = [_row(one, evidence, differ) for one in evidence.runs]
    caption = "Metrics are medians over seeds at the last evaluation. A column head sorts."
    shared = inventory.shared(evidence.runs)
    options = [[name.replace("_", " "), str(value)] for name, value in shared.items()]
    return [
        _table(caption, names, rows, numbers=right, sortable=True),
        element("h3", "Software and hardware"),
        _setups(evidence),
        element(
            "details",
            element("summary", f"The {len(options)} options that all runs share"),
            _table("Options as in config.toml", ["option", "value"], options),
        ),
    ]


def _row(one: RunFacts, evidence: Evidence, differ: Sequence[str]) -> list[Any]:
    own = one.options
    used = [setup.letter for setup in evidence.setups if one.name in setup.runs]
    return [
        one.name,
        one.state,
        own.get("env"),
        own.get("block"),
        own.get("depth"),
        *(own.get(name) for name in differ),
        ", ".join(map(str, one.seeds)),
        f"{one.env_steps:,} / {one.total:,}" if one.total else None,
        *(f"{one.final[metric]:.4g}" if metric in one.final else None for metric in evidence.metrics),
        f"{one.cost['parameters']:,}" if "parameters" in one.cost else None,
        f"{one.train_seconds:,.0f}" if one.train_seconds is not None else None,
        ", ".join(used),
        one.note,
    ]


def _setups(evidence: Evidence) -> Child:
    if not evidence.setups:
        return element("p", "No run has recorded any.")
    packages = list(dict.fromkeys(name for setup in evidence.setups for name in setup.software))
    rows = [
        [setup.letter, len(setup.runs), setup.hardware, setup.commit, *(setup.software.get(p) for p in packages)]
        for setup in evidence.setups
    ]
    return _table("What the runs were made with", ["setup", "runs", "hardware", "commit", *packages], rows, numbers={1})


def _files(files: Sequence[str]) -> Child:
    items = [element("li", element("a", file, href=file)) for file in files]
    return [_about("Beside this page; report.json holds all that it says."), element("ul", items)]


def _table(
    caption: str,
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    numbers: set[int] | frozenset[int] = frozenset(),
    *,
    sortable: bool = False,
) -> Markup:
    """A table that scrolls by itself where the page is narrow."""

    def cell(column: int, value: Any) -> Markup:
        text = "" if value is None else plain(str(value))
        long = column not in numbers and len(text) > 40
        own = value.replace(",", "") if isinstance(value, str) and column in numbers else None
        return element("td", text, class_="number" if column in numbers else "long" if long else None, data_value=own)

    heads = [
        element(
            "th",
            element("button", name, type="button") if sortable else name,
            scope="col",
            class_="number" if column in numbers else None,
        )
        for column, name in enumerate(names)
    ]
    lines = [element("tr", [cell(column, value) for column, value in enumerate(row)]) for row in rows]
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", heads)),
        element("tbody", lines),
        data_sort=sortable,
    )
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _with_code(text: str) -> Child:
    """Text with what stands between backticks as code."""
    return [element("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))]
