"""The point mass and its walls."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_depth import envs
from rl_depth.envs import mazes, point_maze
from rl_depth.envs.random_point_maze import carve

HALF = point_maze._HALF_WIDTH
TOLERANCE = 2 * point_maze._SKIN

move = jax.jit(point_maze.move)
BIG = jnp.array(mazes.load("big").walls)


def overlaps_wall(position: np.ndarray, walls: np.ndarray, half_width: float) -> bool:
    """Whether a square around ``position`` meets a wall cell, by comparing it with every cell."""
    rows, columns = np.nonzero(walls)
    gap = np.maximum(np.abs(rows - position[0]), np.abs(columns - position[1])) - 0.5
    return bool((gap < half_width).any())


@jax.jit
def bounce(key: jax.Array, walls: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """300 steps of held random commands: positions and velocities ``[300, 2]``."""
    commands = jnp.repeat(jax.random.uniform(key, (30, 2), minval=-1.5, maxval=1.5), 10, axis=0)

    def step(carry, command):
        carry = point_maze.move(carry[0], point_maze.steer(carry[1], command), walls)
        return carry, carry

    return jax.lax.scan(step, (start, jnp.zeros(2)), commands)[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_the_body_never_enters_a_wall_nor_crosses_one(seed):
    maze_key, key = jax.random.split(jax.random.key(seed))
    lengths = np.array(carve(maze_key, 9))
    start = np.argwhere(lengths == 0)[0].astype(np.float32)
    positions, velocities = map(np.array, bounce(key, jnp.array(lengths < 0), jnp.array(start)))
    cells = np.round(positions).astype(int)
    for position in positions:
        assert not overlaps_wall(position, lengths < 0, HALF - TOLERANCE)
    # the maze is a tree: a step between cells is legal only if their depths differ by one
    assert np.abs(np.diff(lengths[cells[:, 0], cells[:, 1]])).max(initial=0) <= 1
    assert np.abs(velocities).max() <= point_maze._MAX_SPEED


free_cells = st.sampled_from(np.argwhere(~np.array(BIG)).tolist())
offsets = st.floats(-0.5 + HALF, 0.5 - HALF)
speeds = st.floats(-point_maze._MAX_SPEED, point_maze._MAX_SPEED)


@settings(max_examples=300, deadline=None)
@given(free_cells, offsets, offsets, speeds, speeds)
def test_contact_stops_one_axis_and_leaves_the_other(cell, dx, dy, vx, vy):
    position = np.array(cell, np.float32) + np.array([dx, dy], np.float32)
    velocity = np.array([vx, vy], np.float32)
    after, kept = map(np.array, move(position, velocity, BIG))
    assert not overlaps_wall(after, np.array(BIG), HALF - TOLERANCE)
    for axis in (0, 1):
        free = position[axis] + point_maze._TIMESTEP * velocity[axis]
        if kept[axis] == velocity[axis] != 0:
            assert after[axis] == pytest.approx(free, abs=1e-6)
        else:
            assert kept[axis] == 0
            low, high = sorted((position[axis], free))
            assert low - 1e-5 <= after[axis] <= high + 1e-5, "contact must not push"


def test_slides_along_a_wall_at_full_speed():
    position, velocity = np.array([1.0, 1.0], np.float32), np.zeros(2, np.float32)
    for _ in range(15):
        position, velocity = move(position, point_maze.steer(velocity, jnp.array([-1.0, 1.0])), BIG)
    assert position[0] == pytest.approx(0.5 + HALF, abs=1e-5)
    assert velocity[1] == pytest.approx(point_maze._MAX_SPEED, rel=1e-3) or position[1] > 2


def test_does_not_cut_a_corner():
    walls = jnp.array([[False, True], [False, False]])
    walls = jnp.pad(walls, 1, constant_values=True)
    # towards the wall's corner, on a diagonal that would just clip it
    position, velocity = jnp.array([1.25, 1.25]), jnp.array([0.5, 1.2])
    for _ in range(20):
        position, velocity = move(position, point_maze.steer(velocity, jnp.array([0.3, 1.0])), walls)
        assert not overlaps_wall(np.array(position), np.array(walls), HALF - TOLERANCE)
    assert position[0] > 1.5 + HALF - TOLERANCE, "went around, not through"


def test_the_u_path_takes_about_27_steps():
    env = envs.make("point_maze", split="eval")
    step = jax.jit(env.step)
    state = jax.jit(env.reset)(jax.random.key(0))
    goal = jnp.array([3.0, 1.0])
    state = state.replace(obs=state.obs.at[-2:].set(goal), info={**state.info, "start": jnp.ones(2)})
    steps = 0
    for corner in ([1.0, 3.0], [3.0, 3.0], [3.0, 1.0]):
        while jnp.abs(state.obs[:2] - jnp.array(corner)).max() > 0.15:
            state = step(state, jnp.clip(5 * (jnp.array(corner) - state.obs[:2]), -1, 1))
            steps += 1
    assert 22 <= steps <= 32
    assert env.episode_length == 100
    assert state.metrics["success"] == 1
    assert state.metrics["farthest_cell"] == 6


@pytest.mark.parametrize("split", ["train", "eval"])
def test_starts_and_goals_lie_in_the_cells_of_the_split(split):
    env = envs.make("point_big_maze", split=split)
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 8000))
    pairs = mazes.load("big").pairs(split, roam=True)
    cells = np.round(np.array(states.obs)[:, [0, 1, 4, 5]]).astype(int).reshape(-1, 2, 2)
    assert {c.tobytes() for c in cells} == {p.astype(int).tobytes() for p in pairs}
    np.testing.assert_array_equal(states.info["goal_distance"], mazes.load("big").length_of(cells))


def test_random_actions_stay_finite():
    env = envs.make("point_hardest_maze")

    @jax.jit
    def run(key):
        reset_key, action_key = jax.random.split(key)
        state = jax.vmap(env.reset)(jax.random.split(reset_key, 64))

        def step(state, key):
            return jax.vmap(env.step)(state, jax.random.uniform(key, (64, 2), minval=-1, maxval=1)), None

        return jax.lax.scan(step, state, jax.random.split(action_key, 10_000))[0]

    state = run(jax.random.key(2))
    assert np.isfinite(state.obs).all()
    assert all(np.isfinite(value).all() for value in state.metrics.values())
