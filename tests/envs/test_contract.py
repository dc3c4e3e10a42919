"""What the trainer and the renderer rely on, for every registered environment."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.envs import mazes
from rl_depth.envs.base import GoalEnv

# one robot in other walls compiles for long and behaves alike: built, and drawn from, but not stepped
VARIANT = re.compile(r"(ant|humanoid|point)_(u[2-7]|ring|big|hardest)_maze.*|point_u_maze")
DISTINCT = [name for name in envs.names() if not VARIANT.fullmatch(name)]
VARIANTS = [name for name in envs.names() if VARIANT.fullmatch(name)]


FOLLOWING = ("arm_grasp",)
"""Environments whose goal moves within an episode."""


def shapes(state):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)


@pytest.mark.parametrize("name", DISTINCT)
def test_reset_and_step(name, compiled):
    program = compiled(name)
    env = program.env
    keys = jax.random.split(jax.random.key(0), 2)
    first = state = program.reset(keys)
    again = program.reset(keys)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    other = program.reset(jax.random.split(jax.random.key(3), 2))
    assert (first.obs != other.obs).any(), "resets with different keys differ"
    assert first.obs.shape == (2, env.observation_size)
    assert first.obs.dtype == jnp.float32
    assert (first.info["goal_distance"] > 0).all()
    assert first.info["goal_distance"].shape == (2,)
    assert (first.done == 0).all()
    for key in jax.random.split(jax.random.key(1), 3):
        state = program.step(state, jax.random.uniform(key, (2, env.action_size), minval=-1, maxval=1))
        check_metrics(name, env, state)
    assert shapes(state) == shapes(first), "a scan can carry the state"
    if name not in FOLLOWING:
        goal = slice(env.state_size, None)
        np.testing.assert_array_equal(state.obs[:, goal], first.obs[:, goal])
    check_scene(env, state)


@pytest.mark.parametrize("name", DISTINCT)
def test_random_actions_keep_everything_finite(name, compiled):
    program = compiled(name)
    state = program.reset(jax.random.split(jax.random.key(2), 2))
    actions = np.random.default_rng(0).uniform(-1, 1, (200, 2, program.env.action_size)).astype(np.float32)
    for action in actions:
        state = program.step(state, action)
    program.assert_finite(state)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "copies"), [("point_maze", 64), ("random_point_maze", 64), ("reacher", 16)])
def test_ten_thousand_random_steps_in_many_copies_stay_finite(name, copies, compiled):
    env = compiled(name).env
    reset, step = jax.vmap(env.reset), jax.vmap(env.step)

    def advance(state, key):
        state = step(state, jax.random.uniform(key, (copies, env.action_size), minval=-1, maxval=1))
        finite = jnp.isfinite(state.obs).all() & jnp.isfinite(jnp.stack(list(state.metrics.values()))).all()
        return state, finite

    many = jax.jit(
        lambda state, keys: jax.lax.scan(advance, state, keys)[1],
        compiler_options={"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False},
    )
    first = jax.jit(reset)(jax.random.split(jax.random.key(0), copies))
    assert many(first, jax.random.split(jax.random.key(1), 10_000)).all()


def check_metrics(name: str, env: GoalEnv, state) -> None:
    achieved = env.achieved_goal(state.obs[:, : env.state_size])
    dist = env.distance(achieved, state.obs[:, env.state_size :])
    np.testing.assert_allclose(state.metrics["dist"], dist, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state.metrics["success"], state.metrics["dist"] < env.goal_radius)
    np.testing.assert_array_equal(state.reward, state.metrics["success"])
    for key, value in {**state.metrics, "obs": state.obs, "done": state.done}.items():
        assert jnp.isfinite(value).all(), key
        assert value.dtype == jnp.float32, key
    assert all(value.shape == (2,) for value in state.metrics.values())


def check_scene(env: GoalEnv, state) -> None:
    model = env.scene(jax.tree.map(lambda leaf: leaf[0], state))
    assert jax.vmap(env.qpos)(state).shape == (2, model.nq)
    assert jax.vmap(env.goal_position)(state).shape == (2, 3)
    assert env.view in ("top", "follow")


@pytest.mark.parametrize("name", envs.names())
def test_attributes(name, compiled):
    env = compiled(name).env
    assert isinstance(env, GoalEnv)
    assert env.split == env.splits[0] == "train"
    assert "eval" in env.splits
    assert env.backend == (env.backend_on_cpu or env.backends[0])
    assert env.backend in env.backends
    assert env.goal_radius > 0
    assert env.episode_length > 0
    assert env.observation_size == env.state_size + env.goal_size
    assert max(env.goal_indices) < env.state_size
    doc = type(env).__doc__
    assert "Source:" in doc
    assert re.search(r"Goal ind", doc), "names the goal indices"
    assert re.search(r"\| index \||The observation is that of", doc), "tables the observation"


@pytest.mark.parametrize("name", VARIANTS)
def test_mazes_of_one_robot_have_the_walls_and_pairs_of_their_layout(name):
    layout = re.search(r"_(u\d?|big|hardest|ring)_", name).group(1)
    maze = mazes.load(layout)
    for split in ("train", "eval"):
        task = envs.make(name, split=split)._task
        np.testing.assert_array_equal(task.maze.walls, maze.walls)
        pairs = maze.pairs(split, stitch=name.endswith("stitch"), roam=name.startswith("point"))
        np.testing.assert_allclose(task.goals, pairs[:, 1] * task.cell_size)


@pytest.mark.parametrize("name", ["ant_u_maze", "humanoid_u_maze"])
def test_walls_of_a_robots_maze_are_where_the_layout_has_them(name, compiled):
    env = compiled(name).env
    model = env.sys.mj_model
    boxes = [i for i in range(model.ngeom) if model.geom(i).name.startswith("wall_")]
    cells = np.round(model.geom_pos[boxes, :2] / env._task.cell_size).astype(int)
    np.testing.assert_array_equal(cells, np.argwhere(env._task.maze.walls))


@pytest.mark.parametrize(("name", "start"), [("ant_u_maze", 4.0), ("humanoid_u_maze", 2.0)])
def test_farthest_cell_remembers(name, start, compiled):
    program = compiled(name)
    state = program.reset(jax.random.split(jax.random.key(0), 2))
    np.testing.assert_array_equal(state.info["start"], [[start, start]] * 2)
    metrics = {**state.metrics, "farthest_cell": jnp.array([0.0, 4.0])}
    state = program.step(state.replace(metrics=metrics), jnp.zeros((2, program.env.action_size)))
    np.testing.assert_array_equal(state.metrics["farthest_cell"], [0, 4])


def test_humanoid_behaviour_at_rest(compiled):
    program = compiled("humanoid")
    state = program.reset(jax.random.split(jax.random.key(0), 2))
    state = program.step(state, jnp.zeros((2, 17)))
    np.testing.assert_allclose(state.metrics["torso_height"], 1.4, atol=0.02)
    np.testing.assert_array_equal(state.metrics["upright"], 1)
    np.testing.assert_allclose(state.metrics["forward_speed"], 0, atol=0.1)
