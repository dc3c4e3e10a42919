"""What the parser of flags and files refuses, said in the words of our own refusals, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, UnknownOptionError, UnusedCliTokensError
from cyclopts.exceptions import RepeatArgumentError

from .foreign import advice
from .refusals import option_name
from .types import kinds, refusal, short


def explain(error: CycloptsError, preset: Path | None = None, arguments: Sequence[str] = ()) -> str:
    """One line that says what was wrong with the options, and in which file if it was one.

    Args:
      error: what the parser raised.
      preset: the file that options come from which no flag gave.
      arguments: the command line, for advice that depends on the command.
    """
    text = " ".join(_text(error, arguments).split())
    token = getattr(error, "token", None)
    source = token.source if token is not None and token.source != "cli" else ""
    if source and source not in text:
        return f"{source}: {text}"
    if preset is not None and f"[{_place(error)}]" in text and str(preset) not in text:
        return f"{preset}: {text}"
    return text


def _text(error: CycloptsError, arguments: Sequence[str]) -> str:
    if isinstance(error, UnknownOptionError):
        return _unknown(error)
    if isinstance(error, UnusedCliTokensError):
        return _unused(error, arguments)
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword}: given twice{_several(error.token.keyword or '', arguments)}"
    if isinstance(error, MissingArgumentError):
        return _missing(error)
    if isinstance(error, CoercionError) and error.token is not None:
        return _unconverted(error, arguments)
    return str(error)


def _unconverted(error: CoercionError, arguments: Sequence[str]) -> str:
    """A value of the wrong type, or none of the choices."""
    token, place = error.token, _place(error)
    assert token is not None
    name = f"[{place}]" if token.source != "cli" else token.keyword or place
    if place in kinds() and (error.msg is None or str(error.msg).startswith("must be a")):
        text = refusal(place, token.value, name)
    elif error.msg is not None:
        plain = token.value.isprintable() and token.value.strip() == token.value != ""
        text = f"{name} {short(token.value if plain else repr(token.value))}: {error.msg}"
    else:
        text = str(error).replace("Invalid value for ", "").rstrip(".")
    return text + (_several(name, arguments) if "," in token.value and place in kinds() else "")


def _unknown(error: UnknownOptionError) -> str:
    names = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    return _unlike(error.token.keyword or error.token.value, names, " ".join(error.command_chain or ()))


def unknown_option(flag: str) -> str | None:
    """What is said of a flag that is no option of an experiment; None if it is one."""
    if flag.startswith("--") and flag[2:].replace("-", "_") in kinds():
        return None
    return _unlike(flag, [option_name(field) for field in kinds()], "train")


def _unlike(flag: str, names: Sequence[str], command: str) -> str:
    told = advice(flag)
    if told:
        return f"unknown option {flag}: {told}"
    near = difflib.get_close_matches(flag, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"`rl-depth {command} --help` lists all"
    return f"unknown option {short(flag)}; {hint}"


def _unused(error: UnusedCliTokensError, arguments: Sequence[str]) -> str:
    words = list(error.unused_tokens or ())
    shown = short(" ".join(words))
    command = " ".join(error.command_chain or ())
    flag = next((given for given in reversed(arguments[: _index(arguments, words)]) if given.startswith("--")), "")
    hint = _several(flag, arguments)
    return f"{shown}: nothing takes {'this' if len(words) == 1 else 'these'} here" + (
        hint or f"; `rl-depth {command} --help` shows how to call it"
    )


def _index(arguments: Sequence[str], words: Sequence[str]) -> int:
    return next((i for i, given in enumerate(arguments) if words and given == words[0]), 0)


def _several(flag: str, arguments: Sequence[str]) -> str:
    """Advice for whoever gives several values to an option of training."""
    if flag.lstrip("-").replace("-", "_") not in kinds() or list(arguments[:1]) != ["train"]:
        return ""
    return f"; to train an agent for each of several values: rl-depth sweep {flag} A,B,..."


def _missing(error: MissingArgumentError) -> str:
    argument = error.argument
    assert argument is not None
    given = chain([error.keyword], (token.keyword for token in reversed(argument.tokens)), [argument.name])
    name = next(word for word in given if word is not None)
    count = argument.token_count()[0]
    needs = f"needs {count} values" if count > 1 else "needs a value"
    if not name.startswith("-"):
        needs = f"is missing; `rl-depth {' '.join(error.command_chain or ())} --help` shows how to call it"
    return f"{name}: {needs}"


def _place(error: Any) -> str:
    """The option that an error is about, as a field."""
    argument = getattr(error, "argument", None)
    return argument.name.lstrip("-").replace("-", "_") if argument is not None else ""
