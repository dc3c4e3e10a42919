"""Mazes that are new in every episode."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.envs import mazes
from rl_depth.envs.random_point_maze import carve


@functools.cache
def resets(split: str, seed: int = 0, n: int = 64):
    env = envs.make("random_point_maze", split=split, seed=seed)
    return env, jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(3), n))


@pytest.mark.parametrize("size", [5, 9, 13])
def test_carving_connects_all_rooms_without_loops_and_knows_the_paths(size):
    lengths = np.array(jax.jit(jax.vmap(lambda key: carve(key, size)))(jax.random.split(jax.random.key(0), 30)))
    rooms = ((size - 1) // 2) ** 2
    for maze in lengths:
        table = mazes.path_lengths(maze < 0)
        np.testing.assert_array_equal(table[np.argmin(np.where(maze == 0, 0, 1))].reshape(size, size), maze)
        assert (maze >= 0).sum() == 2 * rooms - 1, "a tree over the rooms, one door per edge"
        assert (maze[1::2, 1::2] >= 0).all()


def test_mazes_differ_between_keys_and_between_seeds():
    _, states = resets("large")
    _, others = resets("large", seed=1)
    layouts = {np.array(obs[4:-2]).tobytes() for obs in states.obs}
    assert len(layouts) == len(states.obs)
    assert not layouts & {np.array(obs[4:-2]).tobytes() for obs in others.obs}


@pytest.mark.parametrize(("split", "size"), [("train", 7), ("eval", 7), ("large", 11)])
def test_start_and_goal_lie_in_the_maze_at_the_stated_path_length(split, size):
    env, states = resets(split)
    assert env.observation_size == 4 + 11**2 + 2
    for obs, distance in zip(np.array(states.obs), np.array(states.info["goal_distance"]), strict=True):
        walls = np.array(env.walls(obs))
        start, goal = np.round(obs[:2]).astype(int), np.round(obs[-2:]).astype(int)
        flat = [cell[0] * 11 + cell[1] for cell in (start, goal)]
        assert mazes.path_lengths(walls)[flat[0], flat[1]] == distance > 0
        free = np.argwhere(~walls)
        assert (np.ptp(free, axis=0) + 3 == size).all(), "free cells span the maze less its border"


def test_small_mazes_lie_all_over_the_grid():
    _, states = resets("train")
    ever_free = (np.array(states.obs)[:, 4:-2] == 0).any(0).reshape(11, 11)
    assert ever_free[1:-1, 1:-1].mean() > 0.9


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": 6}, "size 6: .* odd size of 5 or more"),
        ({"size": 3}, "size 3"),
        ({"size": 13}, r"max_size 11: must be odd and at least size \(13\)"),
        ({"max_size": 12}, "max_size 12"),
    ],
)
def test_bad_sizes_are_named(options, problem):
    with pytest.raises(ValueError, match=problem):
        envs.make("random_point_maze", **options)
