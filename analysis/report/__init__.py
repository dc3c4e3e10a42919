"""A report of runs or tables: one page that needs no network, and the figures and numbers that lie beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..written import results
from . import evidence as gathering
from . import files, inventory, page, words

__all__ = ["Report", "inventory", "write"]

_PAGE = "index.html"


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      page: the page.
      files: figures and numbers.
      summary: all that the page says, as JSON holds it.
      findings: its findings, as sentences.
    """

    page: Path
    files: tuple[Path, ...]
    summary: dict[str, Any]
    findings: tuple[str, ...]


def write(paths: Sequence[Path], out: Path, metrics: Sequence[str] = (), seed: int = 0) -> Report:
    """Write ``index.html``, ``figures/`` and ``data/`` into a folder; nothing is trained or rendered.

    All of it is made before any of it takes its place, the page last; what an earlier report had and this one lacks is
    removed (``written.results``).

    Args:
      paths: run folders, or folders that hold some, videos and results of ``rl-depth extrapolate`` and ``frontier``
        among them too; or tables (``runs.table``).
      out: the folder.
      metrics: metrics to judge, the leading one first; see ``evidence.read``.
      seed: of the bootstrap.

    Raises:
      RunError: a path holds no run, or the folder cannot be written.
      ConfigError: no run has such a metric.
    """
    found = gathering.read(paths, metrics, seed)
    with results(out, "report") as made:
        names = files.write(found, made)
        (made / _PAGE).write_text(page.render(found, names), encoding="utf-8")
    summary = files.summary(found)
    sentences = tuple(f"{one.env}: {one.text}" for one in words.findings(found))
    return Report(out / _PAGE, tuple(out / name for name in names), summary, sentences)
