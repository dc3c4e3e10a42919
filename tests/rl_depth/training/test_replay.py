"""The replay buffer against a slow one made of Python lists, and the law of the goals that it draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_depth.training import replay


class Slow:
    """Steps of each environment as a list of (time, episode), the newest ``rows`` of them."""

    def __init__(self, rows: int, num_envs: int):
        self.rows, self.steps, self.episode = rows, [[] for _ in range(num_envs)], [0] * num_envs

    def insert(self, done: np.ndarray) -> None:
        for row in done:
            for env, ended in enumerate(row):
                self.steps[env].append((len(self.steps[env]), self.episode[env]))
                self.episode[env] += bool(ended)

    def last(self) -> dict[tuple[int, int], int]:
        """(env, time) of each kept step -> time of its episode's latest step."""
        out = {}
        for env, steps in enumerate(self.steps):
            for time, episode in steps[-self.rows :]:
                out[env, time] = max(t for t, e in steps if e == episode)
        return out


def chunk(done: np.ndarray, time: int) -> replay.Transitions:
    """Steps whose state is (time, env)."""
    length, num_envs = done.shape
    times, envs = np.meshgrid(np.arange(time, time + length), np.arange(num_envs), indexing="ij")
    state = jnp.array(np.stack([times, envs], -1), jnp.float32)
    return replay.Transitions(state, state[..., :1] / 100, jnp.array(done))


def filled(dones: list[np.ndarray], rows: int) -> tuple[replay.Replay, Slow]:
    num_envs = dones[0].shape[1]
    buffer, slow, time = replay.create(rows, num_envs, 2, 1), Slow(rows, num_envs), 0
    for done in dones:
        buffer = replay.insert(buffer, chunk(done, time))
        slow.insert(done)
        time += len(done)
    return buffer, slow


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=4), min_size=1, max_size=7))
def test_episodes_are_kept_apart_as_by_the_slow_buffer(dones):
    rows = 10
    buffer, slow = filled([np.array(d) for d in dones], rows)
    for (env, time), last in slow.last().items():
        assert buffer.state[time % rows, env].tolist() == [time, env]
        assert int(buffer.last[time % rows, env]) == last


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=4), min_size=2, max_size=6),
    st.integers(0, 2**31 - 1),
)
def test_goals_lie_ahead_in_the_same_episode(dones, seed):
    rows = 10
    dones = [np.array(d) for d in dones]
    dones[-1][-3:] = False  # at least one transition has a future
    buffer, slow = filled(dones, rows)
    row, goal_row, env = replay.sample(buffer, 0.9, 16, 4, jax.random.key(seed))
    assert row.shape == goal_row.shape == env.shape == (4, 16)
    last = slow.last()
    for r, g, e in zip(row.ravel(), goal_row.ravel(), env.ravel(), strict=True):
        time, goal_time = int(buffer.state[r, e, 0]), int(buffer.state[g, e, 0])
        assert time < goal_time <= last[int(e), time]


def test_transitions_with_a_future_are_drawn_uniformly():
    done = np.zeros((12, 2), bool)
    done[[3, 4, 9], 0] = True  # the step at time 4 is an episode of its own
    buffer, slow = filled([done], 12)
    row, _, env = replay.sample(buffer, 0.9, 4000, 10, jax.random.key(0))
    eligible = [(e, t) for (e, t), last in slow.last().items() if last > t]
    counts = {place: 0 for place in eligible}
    for e, t in zip(np.ravel(env).tolist(), np.ravel(row).tolist(), strict=True):
        counts[e, t] += 1  # a KeyError here is a draw without a future
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("horizon", [1, 2, 7, 100])
def test_offsets_follow_the_truncated_geometric_law(gamma, horizon):
    draws = 40_000
    offsets = replay.truncated_geometric(jax.random.key(3), gamma, jnp.full(draws, horizon, jnp.int32))
    counts = np.bincount(np.asarray(offsets), minlength=horizon + 1)
    assert counts[0] == 0 and len(counts) == horizon + 1
    law = gamma ** np.arange(horizon, dtype=float)
    expected = draws * law / law.sum()
    # Merge the tail so that every cell expects at least 5 draws.
    cells = np.minimum(np.cumsum(expected) // 5, np.sum(expected) // 5 - 1)
    groups = [cells == c for c in np.unique(cells)]
    if horizon > 1:
        found, wanted = [counts[1:][g].sum() for g in groups], [expected[g].sum() for g in groups]
        assert stats.chisquare(found, wanted).pvalue > 1e-3


def test_offsets_of_sampled_goals_follow_the_law_at_each_horizon():
    """Through the whole of `sample`: one episode of 30 steps, so that step t has 29 - t ahead."""
    buffer, _ = filled([np.zeros((30, 1), bool)], 30)
    row, goal_row, _ = (np.ravel(x) for x in replay.sample(buffer, 0.9, 5000, 20, jax.random.key(1)))
    for start in (0, 15, 25):
        offsets = (goal_row - row)[row == start]
        law = 0.9 ** np.arange(29 - start, dtype=float)
        counts = np.bincount(offsets, minlength=30 - start)[1:]
        assert stats.chisquare(counts, law / law.sum() * len(offsets)).pvalue > 1e-3


def test_several_ratios_draw_as_many_goals_of_each_transition():
    """Each by its own law, all ahead in the same episode."""
    done = np.zeros((400, 2), bool)
    done[199] = True
    buffer, _ = filled([done], 400)
    gammas = (0.5, 0.9, 0.95)
    rows, goals, envs = replay.sample(buffer, jnp.array(gammas), 500, 8, jax.random.key(0))
    assert rows.shape == envs.shape == (8, 500) and goals.shape == (8, 500, 3)
    rows, goals = np.asarray(rows)[..., None], np.asarray(goals)
    assert np.all(goals > rows) and np.all(rows // 200 == goals // 200)
    early = (rows < 60) | ((rows >= 200) & (rows < 260))  # whose future is hardly cut off
    for s, gamma in enumerate(gammas):
        offsets = (goals - rows)[..., s][early[..., 0]]
        np.testing.assert_allclose(offsets.mean(), 1 / (1 - gamma), rtol=0.1)
    assert not np.array_equal(goals[..., 1], goals[..., 2])


def test_waypoints_lie_between_a_transition_and_its_goal_and_wrap_around():
    buffer = replay.create(8, 2, 2, 1)
    row, goal = jnp.full(2000, 6), jnp.full(2000, 1)  # of 8 rows: 7 and 0 lie between
    found = np.asarray(replay.between(buffer, row, goal, jax.random.key(0)))
    assert set(found) == {7, 0} and 0.4 < (found == 7).mean() < 0.6
    assert (replay.between(buffer, jnp.array([7]), jnp.array([0]), jax.random.key(0)) == 0).all(), "the goal's own"


def test_with_what_was_reached_waypoints_lie_between_too():
    buffer = replay.create(8, 2, 2, 1, goal_size=2)
    row, goal = jnp.full(2000, 6), jnp.full(2000, 0)  # the goal is the state after step 0: those after 6 and 7 between
    assert set(np.asarray(replay.between(buffer, row, goal, jax.random.key(0)))) == {6, 7}
    assert (replay.between(buffer, jnp.array([7]), jnp.array([7]), jax.random.key(0)) == 7).all(), "the goal's own"


def reaching(done: np.ndarray, time: int) -> replay.Transitions:
    """Steps at (time, env) that reach (time + 1, env)."""
    steps = chunk(done, time)
    return steps.replace(reached=steps.state + jnp.array([1.0, 0.0]))


def filled_with_reached(dones: list[np.ndarray], rows: int) -> tuple[replay.Replay, Slow]:
    buffer, slow, time = replay.create(rows, 2, 2, 1, goal_size=2), Slow(rows, 2), 0
    for done in dones:
        buffer = replay.insert(buffer, reaching(done, time))
        slow.insert(done)
        time += len(done)
    return buffer, slow


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=4), min_size=1, max_size=6),
    st.integers(0, 2**31 - 1),
)
def test_with_what_was_reached_goals_lie_up_to_the_state_after_the_last_step(dones, seed):
    buffer, slow = filled_with_reached([np.array(d) for d in dones], rows=10)
    row, goal_row, env = replay.sample(buffer, jnp.float32(0.9), 16, 4, jax.random.key(seed))
    goals = replay.goals(buffer, lambda state: state, goal_row, env)
    last = slow.last()
    for r, e, goal in zip(row.ravel(), env.ravel(), goals.reshape(-1, 2), strict=True):
        time = int(buffer.state[r, e, 0])
        assert int(goal[1]) == e
        assert time < int(goal[0]) <= last[int(e), time] + 1


def test_with_what_was_reached_every_transition_is_drawn_and_the_last_state_is_a_goal():
    """One episode of 4 steps, one of 1, one of 3 that is open: goals are drawn by the law at each horizon."""
    done = np.zeros((8, 2), bool)
    done[[3, 4]] = True
    buffer, _ = filled_with_reached([done], 8)
    row, goal_row, env = replay.sample(buffer, jnp.float32(0.5), 4000, 5, jax.random.key(0))
    goal = np.asarray(replay.goals(buffer, lambda state: state, goal_row, env))[..., 0].ravel()
    row, env = np.ravel(row), np.ravel(env)
    counts = np.bincount(row * 2 + env, minlength=16)
    assert stats.chisquare(counts).pvalue > 1e-3, "uniform over all of them, ends of episodes included"
    np.testing.assert_array_equal(goal[row == 3], 4)  # the state after the episode's last action
    np.testing.assert_array_equal(goal[row == 4], 5)
    found = np.bincount((goal - row)[row == 0].astype(int), minlength=5)[1:]
    law = 0.5 ** np.arange(4)
    assert stats.chisquare(found, law / law.sum() * found.sum()).pvalue > 1e-3


def test_with_what_was_reached_several_ratios_draw_beyond_the_last_step_too():
    buffer, _ = filled_with_reached([np.ones((4, 2), bool)], 4)
    row, goal_row, _ = replay.sample(buffer, jnp.array([0.5, 0.99]), 8, 2, jax.random.key(0))
    np.testing.assert_array_equal(goal_row, np.broadcast_to(np.asarray(row)[..., None], goal_row.shape))
