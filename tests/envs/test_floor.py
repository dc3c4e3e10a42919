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


MAZES = ["point_ring_maze", "random_point_maze", "ant_u_maze"]


@pytest.mark.parametrize("name", MAZES)
def test_subgoals_lie_on_free_floor_and_are_achieved_by_the_states_they_are_lifted_to(name, compiled):
    own = compiled(name)
    first = jax.tree.map(lambda leaf: leaf[0], own.reset(jax.random.split(jax.random.key(3), 2)))
    draw = jax.jit(own.env.free_goals, static_argnums=2)
    goals = draw(first.obs, jax.random.key(0), 64)
    floor = own.env.floor(first)
    assert floor.is_free(goals).all()
    cells = {tuple(cell) for cell in np.round(goals / floor.cell_size).astype(int).tolist()}
    assert len(cells) > 0.5 * min(64, (~floor.walls).sum())
    np.testing.assert_array_equal(draw(first.obs, jax.random.key(0), 5), goals[:5])
    state = first.obs[: own.env.state_size]
    lifted = own.env.lift(jnp.broadcast_to(state, (64, len(state))), goals)
    np.testing.assert_array_equal(own.env.achieved_goal(lifted), goals)
    if "point" in name:  # at rest there, between the same walls
        np.testing.assert_array_equal(lifted[:, 2:4], 0)
        np.testing.assert_array_equal(lifted[:, 4:], jnp.broadcast_to(state[4:], lifted[:, 4:].shape))


@pytest.mark.parametrize("name", MAZES)
def test_the_goal_ahead_is_so_many_cells_nearer_to_the_goal(name, compiled):
    own = compiled(name)
    states = own.reset(jax.random.split(jax.random.key(5), 2))
    ahead = jax.jit(own.env.goal_ahead)
    for i in range(2):
        first = jax.tree.map(lambda leaf, i=i: leaf[i], states)
        goal, floor = own.env.goal_position(first)[:2], own.env.floor(first)
        lengths = floor.path_lengths_to(goal)

        def length(position, lengths=lengths, floor=floor):
            return lengths[tuple(np.round(np.asarray(position) / floor.cell_size).astype(int))]

        far = length(own.env.qpos(first)[:2])
        for steps in range(1, far):
            assert length(ahead(first.obs, steps)) == far - steps
        np.testing.assert_array_equal(ahead(first.obs, far + 3), goal)


def test_environments_without_a_maze_know_no_subgoals():
    assert not any(hasattr(envs.make(name), "free_goals") for name in ("ant", "reacher", "humanoid_u_maze"))
