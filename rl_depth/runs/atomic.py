"""Files that appear whole or not at all, and are data alone: text, lines of JSON, arrays with a checksum."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import InputError

_DIGEST = "digest"


def write_text(file: Path, text: str) -> None:
    """Put a text in the place of a file."""
    with _replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray], notes: Mapping[str, str] | None = None) -> None:
    """Put arrays, and notes about them, in the place of a safetensors file.

    Raises:
      OSError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    ready = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with _replacing(file) as partial:
        try:
            save_file(ready, partial, metadata={**(notes or {}), _DIGEST: _digest(ready)})
        except SafetensorError as error:  # its only way to say that the disk is full
            raise OSError(f"{file.name} cannot be written: {error}") from None


def read_arrays(file: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays of a file that `write_arrays` wrote, and the notes about them.

    Raises:
      OSError: it cannot be read.
      ValueError: it is damaged, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
            notes = dict(stored.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    if notes.pop(_DIGEST, None) != _digest(arrays):
        raise ValueError("contents do not match their checksum")
    return arrays, notes


def read_notes(file: Path) -> dict[str, str]:
    """The notes alone, without a look at the arrays.

    Raises:
      OSError: it cannot be read.
      ValueError: it is damaged, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            return dict(stored.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Objects of a ``.jsonl`` file, or of ``.jsonl.gz`` where that lies in its place; a torn last line is dropped.

    Raises:
      InputError: it cannot be read, or another line is not a JSON object.
    """
    packed = file.with_name(file.name + ".gz")
    try:
        text = file.read_bytes() if file.exists() or not packed.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        return []
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{packed}: is damaged") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    lines = text.split(b"\n")
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        rows.append(_object(line, f"{file}: line {number}"))
    return rows


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one if there is no file.

    Raises:
      InputError: it cannot be read, or holds no JSON object.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    return _object(text, str(file))


def _object(text: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError(f"{place} is not JSON") from None
    except RecursionError:
        raise InputError(f"{place} is nested too deeply") from None
    if not isinstance(found, dict):
        raise InputError(f"{place} holds no JSON object")
    return found


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _replacing(file: Path) -> Generator[Path]:
    """A path to write to; it takes the place of ``file`` once it is safely on the disk."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        yield partial
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
