"""What no agent of several side by side needs is skipped, and the numbers are those that each has alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.config import Config
from rl_depth.networks.together import AXIS, one_of, when
from rl_depth.training.trainer import Trainer, seeds_of

SIZES = ("num_envs", "unroll", "updates", "batch_size", "width", "replay_steps", "min_replay_steps", "seeds")
SMALL = dict(zip(SIZES, (4, 12, 2, 4, 8, 24, 12, 2), strict=True))


def conditionals(program, *arguments) -> int:
    text = jax.jit(program).lower(*arguments).as_text()
    return text.count("stablehlo.case") + text.count("stablehlo.if")


def side_by_side(program):
    return jax.vmap(program, axis_name=AXIS)


def test_one_conditional_serves_all_agents():
    def program(n, x):
        return when(n > 2, jnp.sin, x)

    n, x = jnp.array([1, 3]), jnp.array([0.5, 0.5])
    assert conditionals(jax.vmap(program), n, x) == 0
    assert conditionals(side_by_side(program), n, x) == 1
    np.testing.assert_array_equal(side_by_side(program)(n, x), jnp.array([0.5, jnp.sin(0.5)]))
    np.testing.assert_array_equal(side_by_side(program)(0 * n, x), x)


@pytest.mark.parametrize("which", [[0, 1, 2], [1, 1, 1], [2, 0, 0]])
def test_each_agent_goes_its_own_way(which):
    def program(which, x):
        return one_of(which, (lambda x: 2 * x, lambda x: x + 1), x)

    x = jnp.array([3.0, 4.0, 5.0])
    alone = jnp.stack([program(jnp.int32(way), own) for way, own in zip(which, x, strict=True)])
    np.testing.assert_array_equal(side_by_side(program)(jnp.array(which), x), alone)
    grads = jax.vmap(jax.grad(program, argnums=1), axis_name=AXIS)(jnp.array(which), x)
    np.testing.assert_array_equal(grads, [2.0 if way == 0 else 1.0 for way in which])


def trainer_of(block: str) -> Trainer:
    return Trainer.of(Config(block=block, depth=8, train_recurrence="uniform:1:2", episode_length=5, **SMALL))


@pytest.mark.parametrize("block", ["looped", "stacked"])
def test_training_keeps_its_conditionals(block):
    trainer = trainer_of(block)
    state = jax.eval_shape(jax.vmap(trainer.init), seeds_of(trainer.config))
    for program in (trainer.collect, trainer.learn):
        assert conditionals(side_by_side(program), state) > conditionals(jax.vmap(program), state)


@pytest.mark.slow
def test_training_keeps_its_numbers():
    trainer = trainer_of("stacked")
    state = jax.jit(side_by_side(trainer.init))(seeds_of(trainer.config))
    for _ in range(2):
        state = jax.jit(side_by_side(trainer.collect))(state)
    (_, ours), (_, chosen) = jax.jit(side_by_side(trainer.learn))(state), jax.jit(jax.vmap(trainer.learn))(state)
    for name in ours:
        np.testing.assert_allclose(ours[name], chosen[name], rtol=1e-5, atol=1e-6)
