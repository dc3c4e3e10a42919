"""Layouts, splits and shortest paths."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_depth.envs import mazes

grids = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=st.booleans())


def relaxed_lengths(walls: np.ndarray) -> np.ndarray:
    """Shortest paths by repeated relaxation of every pair of neighbours: slow, and nothing like a search."""
    size, columns = walls.size, walls.shape[1]
    free = ~walls.reshape(-1)
    lengths = np.full((size, size), np.inf)
    lengths[free, free] = 0
    edges = [(a, a + 1) for a in range(size - 1) if (a + 1) % columns] + [
        (a, a + columns) for a in range(size - columns)
    ]
    edges = [(a, b) for a, b in edges if free[a] and free[b]]
    for _ in range(size):
        for a, b in edges:
            lengths[:, b] = np.minimum(lengths[:, b], lengths[:, a] + 1)
            lengths[:, a] = np.minimum(lengths[:, a], lengths[:, b] + 1)
    return np.where(np.isinf(lengths), -1, lengths).astype(int)


@settings(max_examples=100, deadline=None)
@given(grids)
def test_path_lengths_agree_with_relaxation(walls):
    np.testing.assert_array_equal(mazes.path_lengths(walls), relaxed_lengths(walls))


@pytest.mark.parametrize("name", mazes.LAYOUTS)
def test_every_layout_parses_and_its_eval_goals_are_train_goals(name):
    maze = mazes.load(name)
    train, evaluation = ({tuple(goal) for goal in maze.pairs(split)[:, 1]} for split in ("train", "eval"))
    assert evaluation <= train
    assert len(train) == (~maze.walls).sum() - len(maze.cells("S"))
    assert (maze.length_of(maze.pairs("train")) > 0).all()


def test_known_path_lengths():
    longest = {name: int(mazes.load(name).length_of(mazes.load(name).pairs("train")).max()) for name in mazes.LAYOUTS}
    assert longest == {
        "u": 6, "u2": 8, "u3": 10, "u4": 10, "u5": 16, "u6": 14, "u7": 12, "ring": 8, "big": 11, "hardest": 15,
    }  # fmt: skip


def test_two_ways_of_one_length_lead_around_the_ring():
    maze = mazes.load("ring")
    ((start, goal),) = maze.pairs("eval")
    assert maze.length_of(np.array([[start, goal]])) == 8
    for row in (1, 5):  # either way closed, the other is as short
        walls = maze.walls.copy()
        walls[row, 3] = True
        flat = [cell[0] * walls.shape[1] + cell[1] for cell in (start, goal)]
        assert mazes.path_lengths(walls)[flat[0], flat[1]] == 8


@pytest.mark.parametrize("name", mazes.LAYOUTS)
def test_stitching_splits_part_all_pairs_by_path_length(name):
    maze = mazes.load(name)
    near, far = maze.pairs("train", stitch=True), maze.pairs("eval", stitch=True)
    assert maze.length_of(near).max() == mazes.NEAR
    assert maze.length_of(far).min() == mazes.NEAR + 1
    free = int((~maze.walls).sum())
    assert len(near) + len(far) == free * (free - 1)
    assert not {p.tobytes() for p in near} & {p.tobytes() for p in far}


def test_draw_covers_every_pair_and_knows_its_length():
    task = mazes.MazeTask("u", "train", cell_size=4.0)
    starts, goals, lengths = jax.vmap(task.draw)(jax.random.split(jax.random.key(0), 200))
    assert (starts == 4.0).all()
    drawn = {tuple(goal): length for goal, length in zip(np.array(goals).tolist(), np.array(lengths), strict=True)}
    assert drawn == {
        (4.0, 8.0): 1, (4.0, 12.0): 2, (8.0, 12.0): 3, (12.0, 12.0): 4, (12.0, 8.0): 5, (12.0, 4.0): 6,
    }  # fmt: skip


def test_path_length_between_positions():
    task = mazes.MazeTask("u", "train", cell_size=2.0)
    start = np.array([2.9, 1.1])
    assert task.path_length(start, np.array([5.2, 2.4])) == 6
    assert task.path_length(start, np.array([4.0, 2.0])) == -1, "within the middle wall"
    assert task.path_length(start, np.array([-50.0, 50.0])) == -1, "outside"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("###\n#G#\n###", "no start"),
        ("####\n#S.#\n####", "no goal"),
        ("#####\n#S#G#\n#####", "the goal at row 1, column 3 is unreachable"),
        ("#####\n#SG#\n#####", "rows differ in length"),
        ("####\n#SG.\n####", "border must be wall"),
        ("####\n#Sx#\n####", "unknown character 'x'"),
    ],
)
def test_a_bad_layout_is_shown(text, problem):
    with pytest.raises(ValueError, match=problem) as error:
        mazes.load(text)
    assert text in str(error.value)


def test_a_split_without_goals_shows_the_layout():
    text = "####\n#Sg#\n####"
    with pytest.raises(ValueError, match="no goal for split 'eval'") as error:
        mazes.load(text).pairs("eval")
    assert text in str(error.value)


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(ValueError, match="unknown maze layout 'hardets'; nearest: hardest; known: u, u2"):
        mazes.load("hardets")
