"""Presets: configurations in TOML files, those that ship with the package among them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError
from cyclopts.config import Toml

from .errors import ConfigError
from .experiment import Config
from .foreign import advice
from .parser import explain
from .types import short

PRESETS = Path(__file__).resolve().parent.parent / "configs"


def find_preset(name: str) -> Path:
    """The file of a preset: a path to a TOML file, or the name of one that ships with the package.

    Raises:
      ConfigError: no such preset; names the nearest.
    """
    path = Path(name)
    if path.suffix == ".toml" or is_there(path):
        if not is_there(path) or not path.is_file():
            raise ConfigError(f"preset {short(name)}: no such file")
        return path
    known = {file.stem: file for file in sorted(PRESETS.glob("*.toml"))}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
    raise ConfigError(f"preset {short(repr(name))}: no such preset or .toml file; there are {', '.join(near)}")


def is_there(path: Path) -> bool:
    """Whether there is a file or folder at a path; there is none at one that no file system can hold."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a null byte
        return False


def load(path: Path, flags: Sequence[str] = ()) -> Config:
    """Read a configuration from TOML, with command-line flags on top.

    Raises:
      ConfigError: unreadable file, unknown key, or a value that is not allowed, naming file and key.
    """
    app = App(config=preset_source(path), result_action="return_value")

    @app.default
    def read(*, config: Config = Config()) -> Config:  # noqa: B008 - frozen
        return config

    try:
        return app(list(flags), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(explain(error, path)) from None
    except ConfigError as error:  # of values that do not go together, which names none of their sources
        raise ConfigError(str(error) if flags else f"{path}: {error}") from None


def preset_source(path: Path) -> Toml:
    """Where cyclopts reads options from that no flag gave.

    Raises:
      ConfigError: the file cannot be read, is not TOML, is a sweep, or has a key that is no option.
    """
    table = read_toml(path)
    if "grid" in table:
        raise ConfigError(f"{path}: is a sweep, for it has a [grid]; train its cells with `rl-depth sweep {path}`")
    check_keys(path, table)
    return Toml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)


def read_toml(path: Path) -> dict[str, Any]:
    """Contents of a TOML file.

    Raises:
      ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot be read (not UTF-8 text)") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, tables of thousands of levels
        raise ConfigError(f"{path}: holds what no option can be ({' '.join(str(error).split())[:100]})") from None


def check_keys(path: Path, table: Iterable[str], place: str = "", more: Sequence[str] = ()) -> None:
    """Refuse keys of a file that are neither options nor among ``more``.

    Args:
      path: the file.
      table: the keys.
      place: where in the file they stand, for the message.
      more: further keys that are allowed.

    Raises:
      ConfigError: names the file, the key and the nearest ones.
    """
    known = [*Config.__dataclass_fields__, *more]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.4)
            hint = f"nearest: {', '.join(near)}" if near else "`rl-depth train --help` lists all"
            raise ConfigError(f"{path}: {place}unknown key {short(repr(key))}; {advice(key) or hint}")
