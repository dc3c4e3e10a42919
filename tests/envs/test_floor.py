"""The floors of mazes, and bodies put elsewhere on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.envs import mazes

U = mazes.load("u").walls


def test_a_floor_knows_what_is_free():
    floor = mazes.Floor(U, 4.0)
    inside = [[4.0, 4.0], [2.1, 13.9], [12.0, 4.0]]
    outside = [[8.0, 4.0], [1.9, 4.0], [-30.0, 4.0], [4.0, 100.0]]
    assert floor.is_free(np.array(inside)).all() and not floor.is_free(np.array(outside)).any()


def test_lines_cover_every_cell_evenly():
    x, y = mazes.Floor(U[:, :4], 2.0).lines(4)
    assert len(x) == 20 and len(y) == 16
    np.testing.assert_allclose(x[:4], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(np.diff(x), 0.5)
    assert np.bincount(np.round(y / 2.0).astype(int)).tolist() == [4] * 4


def test_path_lengths_lead_around_the_wall():
    lengths = mazes.Floor(U, 4.0).path_lengths_to(np.array([12.5, 3.5]))
    assert lengths[3, 1] == 0 and lengths[1, 1] == 6 and lengths[2, 1] == -1


@pytest.mark.parametrize("name", ["point_u_maze", "random_point_maze", "ant_u_maze", "humanoid_u_maze"])
def test_a_body_moved_to_the_start_of_another_episode_observes_what_it_would_there(name, compiled):
    own = compiled(name)
    state = own.reset(jax.random.split(jax.random.key(3), 2))
    first = jax.tree.map(lambda leaf: leaf[0], state)
    floor = own.env.floor(first)
    position, goal = own.env.qpos(first)[:2], own.env.goal_position(first)[:2]
    assert floor.is_free(np.stack([position, goal])).all()

    observe = jax.jit(own.env.observe_at)
    np.testing.assert_allclose(observe(first, position, goal), first.obs, atol=1e-5)

    free = np.argwhere(~floor.walls)[-1] * floor.cell_size
    moved = observe(first, jnp.asarray(free, jnp.float32), jnp.asarray(free, jnp.float32))
    parts = moved[: own.env.state_size], moved[own.env.state_size :]
    np.testing.assert_allclose(own.env.achieved_goal(parts[0])[:2], free, atol=1e-5)
    np.testing.assert_allclose(parts[1][:2], free, atol=1e-5)
    changed = np.flatnonzero(~np.isclose(parts[0], first.obs[: own.env.state_size], atol=1e-4))
    if "humanoid" not in name:  # whose state holds its goal, and inertias about a centre that the goal body moves
        assert set(changed) <= {0, 1} and changed.size


def test_the_humanoid_put_elsewhere_equals_one_that_starts_there(compiled):
    own = compiled("humanoid_u_maze")
    states = (own.reset(jax.random.split(jax.random.key(i), 2)) for i in range(20))
    state = next(state for state in states if not np.allclose(*state.obs[:, -3:]))  # of two goals
    one, other = (jax.tree.map(lambda leaf, i=i: leaf[i], state) for i in (0, 1))
    place = own.env.qpos(other)[:2], own.env.goal_position(other)[:2]
    np.testing.assert_allclose(jax.jit(own.env.observe_at)(one, *place), other.obs, atol=1e-4)


def test_environments_without_a_maze_have_no_floor():
    assert not hasattr(envs.make("ant"), "floor")
