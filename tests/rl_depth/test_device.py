"""What this process runs on: options that XLA knows, and what is said where it cannot run as asked."""

from types import SimpleNamespace

import jax
import pytest

from rl_depth import device


@pytest.mark.parametrize("backend", ["mjx", "spring", None])
def test_physics_takes_fewer_passes_on_mjx_alone(backend):
    env = SimpleNamespace(backend=backend) if backend else SimpleNamespace()
    options = device.physics_options(env)
    assert bool(options) == (backend == "mjx")
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_gradient_steps_compile_with_their_options():
    options = device.learning_options()
    assert options
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_options_that_xla_does_not_know_are_left_out():
    assert device._if_known(("xla_cpu_no_such_option", 1)) == {}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda: JAX finds no such device here"),
        ("JAX_ENABLE_X64", "1", "JAX_ENABLE_X64 is set: rl_depth computes in float32"),
    ],
)
def test_what_jax_cannot_be_told_is_refused_before_a_folder_is_made(cli, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    assert words in cli.started("train", "--out", "run", *cli.flags(**cli.tiny), code=2)
    assert list(cli.folder.iterdir()) == []


@pytest.fixture
def no_cache_folder():
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    device._cache_folder.cache_clear()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    device._cache_folder.cache_clear()


@pytest.mark.parametrize("place", ["file", "unknown user", "empty"])
def test_a_home_that_cannot_be_written_is_one_warning(no_cache_folder, monkeypatch, tmp_path, capsys, place):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if place == "unknown user":

        def home(cls):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(device.Path, "home", classmethod(home))
    else:
        monkeypatch.setenv("HOME", str(tmp_path / "file") if place == "file" else "/")
    device.keep_programs()
    device.keep_programs()
    said = capsys.readouterr().err
    assert said.count("compiled programs are not kept") == 1 and said.count("\n") == 1
    assert jax.config.jax_compilation_cache_dir is None


def test_an_nvidia_card_that_is_not_used_is_one_warning(monkeypatch, tmp_path, capsys):
    (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.setattr(device, "_NVIDIA", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device._nvidia_cards() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device._nvidia_cards() == 0
    device._warn_once("one card")
    device._warn_once("one card")
    assert capsys.readouterr().err == "rl-depth: warning: one card\n"


def test_the_device_is_told_in_words():
    assert device.summary().startswith("cpu, ") and device.summary().endswith(" cores")
    assert device.describe()["host"]["cpu_cores_usable"] >= 1


def test_too_little_memory_is_one_line():
    with pytest.raises(device.OutOfMemory, match="out of memory: Unable to allocate") as caught, device.memory_told():
        raise MemoryError("Unable to allocate 1 TiB\nfor an array")
    assert "\n" not in str(caught.value)
