"""Types and choices of options: the same refusals from Python as from the command line."""

import dataclasses
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from rl_depth.config import Config, ConfigError, load

HINTS = get_type_hints(Config)
FIELDS = [field.name for field in dataclasses.fields(Config)]


def kinds(name: str) -> list:
    """The parts of an option's annotation, worked out apart from the code under test."""
    hint = HINTS[name]
    return list(get_args(hint)) if get_origin(hint) not in (None, Literal) else [hint]


def holding(kind: type) -> list[str]:
    return [name for name in FIELDS if kind in kinds(name)]


def refused(**options) -> str:
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_refuses_what_is_of_another_type_by_its_flag(name):
    flag = "--" + name.replace("_", "-")
    for value in (object(), [8], {"a": 1}, b"8", 8 + 0j, np.arange(2)):
        assert refused(**{name: value}).startswith(f"{flag} ")
    if type(None) not in kinds(name):
        assert refused(**{name: None}).startswith(f"{flag} None: must be ")


@pytest.mark.parametrize("name", [name for name in FIELDS if any(get_origin(kind) is Literal for kind in kinds(name))])
def test_every_choice_refuses_other_words_and_lists_its_own(name, tmp_path):
    empty = tmp_path / "empty.toml"
    empty.touch()
    text = refused(**{name: "bogus"})
    words = [word for kind in kinds(name) if get_origin(kind) is Literal for word in get_args(kind)]
    assert all(str(word) in text for word in words)
    with pytest.raises(ConfigError) as error:
        load(empty, [f"--{name.replace('_', '-')}=bogus"])
    assert str(error.value) == text


@pytest.mark.parametrize("name", holding(int))
def test_whole_numbers_are_neither_booleans_nor_text_nor_floats(name):
    for value in (True, "8", 8.0, 1e300, float("nan"), 10**30, -(10**5000)):
        assert "must be a whole number" in refused(**{name: value})


@pytest.mark.parametrize("name", holding(float))
def test_numbers_are_neither_booleans_nor_text(name):
    for value in (True, "0.5", 10**400):
        assert "must be a number" in refused(**{name: value})


def test_numbers_of_numpy_are_taken_and_become_python_s():
    given = {"depth": np.int64(16), "seeds": np.uint8(2), "gamma": np.float32(0.5), "residual_scale": 1}
    config = Config(**given, remat=np.bool_(True), loss=np.str_("binary_nce"), width=np.array(32))
    assert config == Config(depth=16, seeds=2, gamma=0.5, residual_scale=1.0, remat=True, loss="binary_nce", width=32)
    plain = {int, float, bool, str, type(None)}
    assert all(type(getattr(config, name)) in plain for name in FIELDS)


def test_what_was_converted_is_written_and_read_back(tmp_path):
    import tomli_w

    config = Config(depth=np.int32(4), gamma=np.float64(0.9), residual_scale=1)
    file = tmp_path / "config.toml"
    file.write_text(tomli_w.dumps(config.to_dict()))
    assert load(file) == config


@pytest.mark.parametrize("text", ["depth = " + "9" * 5000, "a = " + "[" * 100_000, "depth = 1" + "0" * 30])
def test_a_preset_of_absurd_numbers_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "preset.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 500
