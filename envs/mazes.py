"""Maze layouts, written once as text, and what follows from them: walls, splits, shortest paths.

A layout is a grid of characters, one cell each:

    #  wall                                  S  start
    .  free, neither start nor goal          G  goal of both splits
    g  goal of the train split only          e  goal of the eval split only

Cell (row, column) is centred at x = row * cell_size, y = column * cell_size, as in the peer packages.
The splits ``train`` and ``eval`` pair every start with every goal of the split. Two other pairings take all
free cells, whatever their letter: roaming trains from each to each, and evaluates as written; stitching trains
on those at most ``NEAR`` steps of path apart, and evaluates on the others.

Sources: u, big and hardest with their evaluation goals from JaxGCRL (Bortkiewicz et al. 2025,
arXiv 2408.11052), whose hardest maze has one goal set for both splits; u2 to u7 from the code of
Wang et al. 2025 (arXiv 2503.14858), which also train and evaluate stitching on u4 along the forward
direction of the path; here both directions count. The ring is our own: two ways of the same length lead to its goal.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

if TYPE_CHECKING:
    from brax.envs.base import State

NEAR = 3
"""Longest path (cells) between start and goal that stitching trains on."""

WALL_RGBA = (0.55, 0.57, 0.62, 1.0)

LAYOUTS = {
    "u": """
        #####
        #Sgg#
        ###g#
        #GGG#
        #####
    """,
    "u2": """
        ######
        #Sggg#
        ####g#
        #GGGG#
        ######
    """,
    "u3": """
        #######
        #Sgggg#
        #####g#
        #GGGGG#
        #######
    """,
    "u4": """
        #####
        #ggg#
        #S#g#
        ###g#
        #G#g#
        #GGG#
        #####
    """,
    "u5": """
        ########
        #gggggg#
        #S####g#
        ######g#
        #G####G#
        #GGGGGG#
        ########
    """,
    "u6": """
        #######
        #ggggg#
        #S###g#
        #####g#
        #G###G#
        #GGGGG#
        #######
    """,
    "u7": """
        ######
        #gggg#
        #S##g#
        ####g#
        #G##G#
        #GGGG#
        ######
    """,
    "ring": """
        #######
        #ggggg#
        #g###g#
        #S###G#
        #g###g#
        #ggggg#
        #######
    """,
    "big": """
        ########
        #Sg##GG#
        #gg#gGG#
        ##ggg###
        #gg#ggg#
        #g#Gg#G#
        #gGG#GG#
        ########
    """,
    "hardest": """
        ############
        #SGGG#GGGGG#
        #G##G#G#G#G#
        #GGGGGG#GGG#
        #G####G###G#
        #GG#G#GGGGG#
        ##G#G#G#G###
        #GG#GGG#GGG#
        ############
    """,
}

_GOAL_LETTERS = {"train": "Gg", "eval": "Ge"}


@dataclasses.dataclass(frozen=True, eq=False)
class Maze:
    """A parsed layout.

    Attributes:
      name: name in ``LAYOUTS``, or "custom".
      grid: characters ``[rows, columns]``.
      walls: True where there is a wall, ``[rows, columns]``.
      path_lengths: shortest path (cells) between any two cells by flat index, -1 where there is none,
        ``[rows * columns, rows * columns]``.
    """

    name: str
    grid: np.ndarray
    walls: np.ndarray
    path_lengths: np.ndarray

    @property
    def text(self) -> str:
        """The layout as it was written, without indentation."""
        return "\n".join("".join(row) for row in self.grid)

    def cells(self, letters: str) -> np.ndarray:
        """Cells that carry one of ``letters``, row by row: ``[n, 2]`` of (row, column)."""
        return np.argwhere(np.isin(self.grid, list(letters)))

    def pairs(self, split: str, stitch: bool = False, roam: bool = False) -> np.ndarray:
        """Start and goal cells of a split: ``[n, 2 (start, goal), 2 (row, column)]``.

        Args:
          split: "train" or "eval".
          stitch: pair all free cells by the length of the path between them.
          roam: train from every free cell to every other.

        Raises:
          ValueError: the layout has no pair for the split.
        """
        starts, goals = self.cells("S"), self.cells(_GOAL_LETTERS[split])
        roam &= split == "train"
        if stitch or roam:
            starts = goals = np.argwhere(~self.walls)
        pairs = np.stack([np.repeat(starts, len(goals), axis=0), np.tile(goals, (len(starts), 1))], axis=1)
        if stitch:
            length = self.length_of(pairs)
            pairs = pairs[(length > 0) & ((length <= NEAR) == (split == "train"))]
        elif roam:
            pairs = pairs[self.length_of(pairs) > 0]
        if not len(pairs):
            raise ValueError(f"maze {self.name!r} has no goal for split {split!r}:\n{self.text}")
        return pairs

    def length_of(self, pairs: np.ndarray) -> np.ndarray:
        """Shortest path (cells) of each pair: ``[n, 2, 2] -> [n]``."""
        flat = pairs[..., 0] * self.walls.shape[1] + pairs[..., 1]
        return self.path_lengths[flat[:, 0], flat[:, 1]]


def path_lengths(walls: np.ndarray) -> np.ndarray:
    """Shortest paths between all cells by breadth-first search from every free cell at once.

    Args:
      walls: ``[rows, columns]``, True where there is a wall.

    Returns:
      Steps between 4-neighbours, -1 where there is no path: ``[rows * columns, rows * columns]``.
    """
    size = walls.size
    free = ~walls
    frontier = (np.eye(size, dtype=bool) & free.reshape(-1)).reshape(size, *walls.shape)
    lengths = np.where(frontier, 0, -1)
    step = 0
    while frontier.any():
        step += 1
        padded = np.pad(frontier, ((0, 0), (1, 1), (1, 1)))
        spread = padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1] | padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:]
        frontier = spread & free & (lengths < 0)
        lengths[frontier] = step
    return lengths.reshape(size, size)


def parse(text: str, name: str = "custom") -> Maze:
    """Read a layout.

    Raises:
      ValueError: showing the layout, when its rows differ in length, a character is unknown, the border
        is open, there is no start or no goal, or a goal cannot be reached from a start.
    """
    rows = [line.strip() for line in text.strip().splitlines()]
    shown = "\n".join(rows)

    def fail(problem: str) -> None:
        raise ValueError(f"maze {name!r}: {problem}:\n{shown}")

    if len({len(row) for row in rows}) != 1:
        fail("rows differ in length")
    unknown = sorted(set("".join(rows)) - set("#.SGge"))
    if unknown:
        fail(f"unknown character {unknown[0]!r} (known: # . S G g e)")
    grid = np.array([list(row) for row in rows])
    walls = grid == "#"
    if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
        fail("the border must be wall")
    if not (grid == "S").any():
        fail("no start (S)")
    if not np.isin(grid, list("Gge")).any():
        fail("no goal (G, g or e)")
    maze = Maze(name=name, grid=grid, walls=walls, path_lengths=path_lengths(walls))
    columns = walls.shape[1]
    for row, column in maze.cells("Gge"):
        starts = maze.cells("S") @ np.array([columns, 1])
        if (maze.path_lengths[starts, row * columns + column] < 0).any():
            fail(f"the goal at row {row}, column {column} is unreachable from a start")
    return maze


def load(layout: str) -> Maze:
    """The maze of a name in ``LAYOUTS``, or of a layout text (anything with a wall in it).

    Raises:
      ValueError: the name is unknown (naming the nearest) or the text is not a valid layout.
    """
    if "#" in layout or "\n" in layout:
        return parse(layout)
    if layout not in LAYOUTS:
        near = difflib.get_close_matches(layout, LAYOUTS, n=1, cutoff=0.0)
        raise ValueError(f"unknown maze layout {layout!r}; nearest: {near[0]}; known: {', '.join(LAYOUTS)}")
    return parse(LAYOUTS[layout], layout)


class MazeTask:
    """Starts, goals and path lengths of one split of a maze, in metres, for traced code.

    Attributes:
      maze: the parsed layout.
      cell_size: side of a cell, m.
      starts: ``[n, 2]``, centres of the start cells of the split's pairs, m.
      goals: ``[n, 2]``, centres of their goal cells, m.
      goal_distances: ``[n]``, path lengths of the pairs, cells.
    """

    def __init__(self, layout: str, split: str, cell_size: float, *, stitch: bool = False, roam: bool = False):
        self.maze = load(layout)
        self.cell_size = cell_size
        pairs = self.maze.pairs(split, stitch, roam)
        self.starts = jnp.array(pairs[:, 0] * cell_size, jnp.float32)
        self.goals = jnp.array(pairs[:, 1] * cell_size, jnp.float32)
        self.goal_distances = jnp.array(self.maze.length_of(pairs), jnp.float32)
        self._path_lengths = jnp.array(self.maze.path_lengths, jnp.float32)

    def draw(self, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A pair drawn uniformly: start ``[2]`` and goal ``[2]`` (m), path length ``[]`` (cells)."""
        index = jax.random.randint(key, (1,), 0, len(self.starts))[0]
        return self.starts[index], self.goals[index], self.goal_distances[index]

    def path_length(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """Shortest path (cells) between the cells of two positions ``[2]`` (m); -1 from within a wall."""
        return self._path_lengths[self._flat_cell(a), self._flat_cell(b)]

    def _flat_cell(self, position: jax.Array) -> jax.Array:
        rows, columns = self.maze.walls.shape
        cell = jnp.round(position / self.cell_size).astype(jnp.int32)
        cell = jnp.clip(cell, 0, jnp.array([rows - 1, columns - 1]))
        return cell[0] * columns + cell[1]


@runtime_checkable
class OnFloor(Protocol):
    """An environment whose start can be moved over a maze's floor."""

    def floor(self, state: State) -> Floor:
        """The maze of an episode."""
        ...

    def observe_at(self, state: State, position: jax.Array, goal: jax.Array) -> jax.Array:
        """What ``state`` would observe at another position, with another goal, ``[2]`` each (m)."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Floor:
    """The floor of a maze, seen from above.

    Attributes:
      walls: True where there is a wall, ``[rows, columns]``.
      cell_size: side of a cell, m; cell (row, column) is centred at that many metres times (row, column).
    """

    walls: np.ndarray
    cell_size: float

    def lines(self, per_cell: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of a regular grid over all cells, m: x ``[rows * per_cell]``, y ``[columns * per_cell]``."""
        rows, columns = ((np.arange(n * per_cell) + 0.5) / per_cell - 0.5 for n in self.walls.shape)
        return rows * self.cell_size, columns * self.cell_size

    def is_free(self, positions: np.ndarray) -> np.ndarray:
        """Whether positions ``[..., 2]`` (m) lie on the floor and not in a wall: ``[...]``."""
        cells = np.floor(np.asarray(positions) / self.cell_size + 0.5).astype(int)
        rows, columns = self.walls.shape
        inside = np.all((cells >= 0) & (cells < [rows, columns]), axis=-1)
        row, column = np.moveaxis(np.where(inside[..., None], cells, 0), -1, 0)
        return inside & ~self.walls[row, column]

    def path_lengths_to(self, position: np.ndarray) -> np.ndarray:
        """Shortest paths (cells) to the cell of a position ``[2]`` (m), -1 from walls: ``[rows, columns]``."""
        row, column = np.floor(np.asarray(position) / self.cell_size + 0.5).astype(int)
        return path_lengths(self.walls)[:, row * self.walls.shape[1] + column].reshape(self.walls.shape)


def add_walls(spec: mujoco.MjSpec, walls: np.ndarray, cell_size: float, height: float) -> None:
    """Add one colliding box for every wall cell, row by row.

    Args:
      spec: the model to add to.
      walls: ``[rows, columns]``, True where there is a wall.
      cell_size: side of a cell, m.
      height: height of the walls, m.
    """
    for row, column in np.argwhere(walls):
        spec.worldbody.add_geom(
            name=f"wall_{row}_{column}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[row * cell_size, column * cell_size, height / 2],
            size=[cell_size / 2, cell_size / 2, height / 2],
            contype=1,
            conaffinity=1,
            rgba=WALL_RGBA,
        )
