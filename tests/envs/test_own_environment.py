"""The environment of docs/own_environment.md, written to a folder outside the tree, and classes that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.training import rollout
from rl_depth.training.acting import Plain

PAGE = Path(__file__).parents[2] / "docs" / "own_environment.md"
HEAD = """
from envs.base import GoalEnv

class Cart(GoalEnv):
    splits, backends, view = ("train", "eval"), ("planar",), "top"
"""
METHODS = """
    backend, action_size = "planar", 1
    def reset(self, rng): ...
    def step(self, state, action): ...
"""
DRAWING = """
    def scene(self, state): ...
    def qpos(self, state): ...
    def goal_position(self, state): ...
"""
SIZES = """
    split, state_size, goal_indices, goal_radius = "train", 1, (0,), 1.0
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """``outside(code)`` makes code importable as a fresh module, and returns the module's name."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / f"lab_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")
    package.mkdir()

    def write(code: str) -> str:
        (package / "cart.py").write_text(code)
        return f"{package.name}.cart"

    return write


@pytest.fixture(scope="module")
def page():
    """The page's code."""
    return re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


@pytest.fixture
def disc(outside):
    """The name of the page's environment from a MuJoCo model."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return outside(next(block for block in blocks if "MjSpec" in block)) + ":DiscReach"


@pytest.fixture
def cart(page, outside):
    """The name of the page's environment."""
    return outside(page) + ":CartReach"


def test_the_environment_of_the_page_meets_the_contract(cart):
    env = envs.make(cart, split="eval", rail=0.5)
    reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    first = state = reset(jax.random.split(jax.random.key(0), 3))
    assert first.obs.shape == (3, env.observation_size) == (3, 5)
    assert (jnp.abs(first.obs[:, 4]) <= 0.5).all()
    for key in jax.random.split(jax.random.key(1), 20):
        state = step(state, jax.random.uniform(key, (3, env.action_size), minval=-1, maxval=1))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), first)
    dist = jnp.abs(env.achieved_goal(state.obs)[:, 0] - state.obs[:, 4])
    np.testing.assert_allclose(state.metrics["dist"], dist)
    np.testing.assert_array_equal(state.metrics["success"], dist < env.goal_radius)
    np.testing.assert_array_equal(state.obs[:, 4], first.obs[:, 4])
    one = jax.tree.map(lambda leaf: leaf[0], state)
    assert env.qpos(one).shape == (env.scene(one).nq,)
    assert env.goal_position(one).shape == (3,)


def test_the_environment_from_a_model_runs_on_the_c_engine_and_on_mjx_alike(disc):
    found = []
    for backend in ("mujoco", "mjx"):
        env = envs.make(disc, backend=backend)
        reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
        state = reset(jax.random.split(jax.random.key(0), 3))
        for _ in range(10):
            state = step(state, jnp.array([[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]]))
        assert env.qpos(jax.tree.map(lambda leaf: leaf[0], state)).shape == (2,)
        found.append(state.obs)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
    assert (found[0][:2, :2].max(), found[0][:2, :2].min()) == (found[0][0, 0], found[0][1, 1])


def test_the_trainer_collects_from_it(cart):
    env = envs.make(cart)
    start_key, run_key = jax.random.split(jax.random.key(0))

    @Plain
    def policy(state, goal, key):
        del goal
        return jax.random.uniform(key, (*state.shape[:-1], env.action_size), minval=-1, maxval=1)

    def run():
        return rollout.collect(env, policy, rollout.start(env, policy, 2, start_key), 30, run_key)

    after, transitions = jax.jit(run)()
    assert transitions.state.shape == (30, 2, env.state_size)
    assert transitions.done.any(), "the pole falls under random actions"
    assert (after.steps < 30).all(), "and a fresh episode begins"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (HEAD + METHODS, "lacks scene, qpos, goal_position; see envs.base.GoalEnv"),
        (HEAD, "lacks reset, step, scene, qpos, goal_position, action_size, backend; see"),
        (HEAD + METHODS + DRAWING, "its constructor must take split and backend"),
        (
            HEAD + METHODS + DRAWING + "    def __init__(self, split, backend): ...",
            "lacks split, state_size, goal_indices, goal_radius, observation_size; see",
        ),
        (
            HEAD + METHODS + DRAWING + SIZES + "    def __init__(self, split='train', backend=None): ...",
            "what reset gives lacks obs, reward, done, metrics, info",
        ),
        ("Cart = 3", "lacks splits, backends, view"),
        ("import no_such_library", "cannot be imported: No module named 'no_such_library'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_class_that_does_not_fit_is_told_why(code, problem, outside):
    name = outside(code) + ":Cart"
    with pytest.raises(ValueError, match=re.escape(problem)):
        envs.make(name)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"dist": dist}, info', '"distance": dist}, info', "metrics of reset lacks 'dist'"),
        ('info={"goal_distance": dist}', "info={}", "info of reset lacks 'goal_distance'"),
        ("jnp.concatenate([inner.obs, goal])", "inner.obs", "obs of reset has shape [4], not [5]"),
    ],
)
def test_states_that_do_not_fit_are_told_why(old, new, problem, page, outside):
    assert old in page
    with pytest.raises(ValueError, match=re.escape(problem)):
        envs.make(outside(page.replace(old, new)) + ":CartReach")
