"""HTML from Python values: whatever is not markup already is text, and is escaped."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable
from typing import Any

_VOID = {"img", "link", "meta", "source"}
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class Markup(str):
    """Text that is HTML already: from ``element``, or from a file of this package."""

    __slots__ = ()


Child = Markup | str | int | float | None | Iterable["Child"]


def element(tag: str, /, *children: Child, **attributes: Any) -> Markup:
    """One element.

    Args:
      tag: its name.
      children: markup, or text to escape, or iterables of these; None is nothing.
      attributes: ``class_="x"`` is ``class="x"``, ``data_kind`` is ``data-kind``; True stands without a value,
        None and False are left out.
    """
    words = [tag]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        words.append(name if value is True else f'{name}="{html.escape(plain(str(value)))}"')
    inside = "" if tag in _VOID else f"{join(children)}</{tag}>"
    return Markup(f"<{' '.join(words)}>{inside}")


def join(children: Iterable[Child]) -> Markup:
    """Children of an element, one after the other."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(plain(str(child)), quote=False)
    return join(child)


def plain(text: str) -> str:
    """Text as a page can hold it: names of files may be no Unicode, and hold controls that turn text around."""
    readable = text.encode("utf-8", "replace").decode()
    return "".join("\ufffd" if _unsafe(letter) else letter for letter in readable)


def _unsafe(letter: str) -> bool:
    control = unicodedata.category(letter) == "Cc" and letter not in "\n\t"
    return control or unicodedata.bidirectional(letter) in _TURNING


def embedded(content: Any) -> Markup:
    """JSON for the inside of a script element, which only ``<`` could end."""
    return Markup(json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))
