"""XLA's options: given where they are known, left out where they are not."""

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
