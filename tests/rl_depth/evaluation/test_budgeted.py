"""What a policy does with a budget."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_depth
from rl_depth import runs
from rl_depth.config import Budget, Config, ConfigError, InputError
from rl_depth.evaluation import capability, policy, spending
from rl_depth.evaluation.budgeted import Budgeted, Shape, Spend, check_budget, medoid
from rl_depth.evaluation.subgoals import gaussian_waypoint, lower_bound, shortest_first_hop
from rl_depth.training.acting import begin_all
from rl_depth.training.trainer import make_agent, make_env

from ..conftest import TINY

LOOPED = Config(**TINY | {"depth": 8, "seeds": 2, "block": "looped"})
KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    """Two agents, hardly trained."""
    return runs.open_run(rl_depth.train(LOOPED, out=tmp_path_factory.mktemp("runs") / "loop", quiet=True).path)


@pytest.fixture(scope="module")
def one(run) -> policy.Policy:
    return policy.load(run)


@pytest.fixture(scope="module")
def begun(one) -> tuple[jax.Array, jax.Array]:
    """States and goals of three episodes."""
    obs = jax.vmap(one.env.reset)(jax.random.split(jax.random.key(1), 3)).obs
    return obs[:, :4], obs[:, 4:]


def shaped(one: policy.Policy, budget: Budget, **changed) -> Budgeted:
    """The policy of a budget in a program of another shape."""
    return Budgeted(one.agent, one.params, one.env, replace(Shape.of(budget), **changed), Spend.of(budget, one.config))


def test_the_empty_budget_is_the_mode_and_depth_alone_is_depth(one, begun):
    np.testing.assert_array_equal(one(*begun, budget="mode"), one(*begun))
    np.testing.assert_array_equal(one(*begun, budget=Budget(depth=16)), one(*begun, depth=16))


def test_samples_are_draws_and_the_best_of_more_is_no_worse(one, begun):
    energies = []
    for samples in (1, 2, 3, 8):
        action = one(*begun, budget=Budget(samples=samples), key=KEY)
        energies.append(one.agent.energy(one.params, *begun[:1], action, begun[1]))
    assert (np.diff(np.array(energies), axis=0) >= -1e-5).all(), "the draws of fewer samples are among those of more"
    assert not np.allclose(energies[0], energies[-1])


@pytest.mark.parametrize(
    "budget",
    [
        "samples=3",
        "samples=3,rank=medoid",
        "samples=3,noise=0.3",
        "subgoals=3",
        "subgoals=3,score=graph",
        "subgoals=9,score=gaussian",
        "subgoals=9,pick=bound",
        "subgoals=9,score=sum,pick=draw",
    ],
)
def test_what_is_chosen_does_not_depend_on_the_bound(one, begun, budget):
    budget = Budget.parse(budget)
    bound = {"subgoals": 16} if budget.subgoals else {"samples": 16}
    chosen = []
    for acting in (shaped(one, budget), shaped(one, budget, **bound)):
        chosen.append(jax.jit(acting.act)(begin_all(acting, 3, KEY), *begun, KEY))
    np.testing.assert_allclose(chosen[0][0], chosen[1][0], atol=1e-5)
    np.testing.assert_allclose(chosen[0][1].subgoal, chosen[1][1].subgoal, atol=1e-5)


def test_one_program_serves_all_numbers_up_to_a_bound(run):
    one = policy.load(run)
    obs, goal = jnp.zeros((3, 4)), jnp.ones((3, 2))
    for budget in ("samples=5", "samples=8,depth=16", "samples=6,depth=64,hold=3"):
        one(obs, goal, budget=budget)
    assert one._spend._cache_size() == 1
    one(obs, goal, budget="samples=9")
    assert one._spend._cache_size() == 2


def test_noise_disturbs_the_latent_and_little_of_it_little(one, begun):
    mode = one(*begun)
    near, far = (one(*begun, budget=Budget(noise=noise), key=KEY) for noise in (1e-6, 1.0))
    np.testing.assert_allclose(near, mode, atol=1e-4)
    assert not np.allclose(far, mode, atol=1e-3)


def test_noise_of_its_own_is_that_which_an_agent_was_trained_with(one, begun):
    with pytest.raises(ValueError, match="noise=own: this agent was trained without --noise-transition"):
        one(*begun, budget="samples=4,noise=own")
    config = replace(LOOPED, noise_transition="learned")
    env = make_env(config)
    agent = make_agent(config, env)
    noisy = policy.Policy(config, env, agent, agent.create(KEY).params, 0)
    found = [noisy(*begun, budget="samples=4,noise=own", key=jax.random.key(i)) for i in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=1e-5)
    assert Shape.of(Budget(samples=4, noise="own")).latents == "own"


def walked(one: policy.Policy, begun, budget: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions and subgoals of so many steps in which nothing moves."""
    acting = one.budgeted(budget)
    carry, actions, subgoals = begin_all(acting, 3, KEY), [], []
    act = jax.jit(acting.act)
    for key in jax.random.split(jax.random.key(7), steps):
        action, carry = act(carry, *begun, key)
        actions.append(action)
        subgoals.append(carry.subgoal)
    return np.array(actions), np.array(subgoals)


def test_draws_are_held_and_subgoals_pursued_for_as_long_as_the_budget_says(one, begun):
    actions, _ = walked(one, begun, "samples=2,hold=3", 7)
    changed = [i for i in range(1, 7) if (actions[i] != actions[i - 1]).any()]
    assert changed == [3, 6]
    _, subgoals = walked(one, begun, "subgoals=8,replan=2", 6)
    assert all((subgoals[i] == subgoals[i - 1]).all() for i in (1, 3, 5))
    assert any((subgoals[i] != subgoals[i - 1]).any() for i in (2, 4))


def test_an_oracle_goes_through_the_maze(one, begun):
    _, subgoals = walked(one, begun, "oracle=1", 1)
    for state, goal, subgoal in zip(*begun, subgoals[0], strict=True):
        lengths = one.env.floor(SimpleNamespace(obs=None)).path_lengths_to(goal)
        here, there = (lengths[tuple(np.round(place).astype(int))] for place in (state[:2], subgoal))
        assert there == here - 1


def test_subgoals_of_the_replay_are_states_that_were_reached(one, begun):
    stored = np.asarray(one.states_for(Budget(subgoals=4, source="replay")))
    assert stored.shape == (4 * 200, 4)
    _, subgoals = walked(one, begun, "subgoals=8,source=replay", 1)
    for subgoal, goal in zip(subgoals[0], begun[1], strict=True):
        assert (subgoal == goal).all() or (subgoal == stored[:, :2]).all(axis=1).any()


def test_the_medoid_is_the_point_nearest_to_all_that_are_there():
    points = jnp.array([[0.0], [1.0], [1.2], [5.0]])
    assert medoid(points, jnp.array([True, True, True, False])) == 1
    assert medoid(points, jnp.ones(4, bool)) in (1, 2)
    assert medoid(points, jnp.array([True, False, False, False])) == 0


def test_the_graph_takes_several_short_hops_for_a_long_one():
    """Candidates 0 and 1 lie on a line between the state and the goal; 2 is near the state and leads nowhere."""
    first = -jnp.array([1.0, 2.0, 0.5, 3.0])
    last = -jnp.array([2.0, 1.0, 9.0])
    between = -jnp.array([[0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [9.0, 9.0, 0.0]])
    assert shortest_first_hop(first, last, between, jnp.ones(3, bool)) == 0
    assert shortest_first_hop(first, last, between, jnp.array([False, True, True])) == 1
    assert shortest_first_hop(first, last, between, jnp.array([False, False, True])) == 3, "the goal at once"


def test_a_lower_bound_prefers_a_good_region_to_one_lucky_candidate():
    """Eight candidates lie in two groups; one is overrated, and its neighbours are poor."""
    psi = jnp.array([[0.0], [0.1], [0.2], [0.3], [9.0], [9.1], [9.2], [9.3]])
    value = -jnp.array([1.0, 1.1, 1.0, 1.1, 3.0, 0.5, 3.0, 3.0])
    there = jnp.ones(8, bool)
    assert jnp.argmax(value) == 5 and jnp.argmax(lower_bound(value, psi, there)) < 4
    alone = lower_bound(jnp.append(value, 9.0), jnp.append(psi, 0.15)[:, None], jnp.append(there, False))
    np.testing.assert_allclose(alone[:8], lower_bound(value, psi, there), rtol=1e-6)
    np.testing.assert_allclose(
        lower_bound(value, psi, there)[0], np.mean([-1.0, -1.1]) - np.std([-1.0, -1.1]), rtol=1e-5
    )


def test_the_closed_form_is_the_mean_of_codes_on_the_way():
    """Against the Gaussian it comes from: psi_0 ~ N(0, c I), then twice psi' ~ N(c/(c + 1) A psi, c/(c + 1) I)."""
    rng = np.random.default_rng(0)
    size, c = 3, 2.0
    a, _ = np.linalg.qr(rng.normal(size=(size, size)))  # a rotation leaves the marginal as it is
    psi = rng.normal(size=(4000, size)) * np.sqrt(c)
    psi *= np.sqrt(c / np.mean(psi**2))
    start, goal = rng.normal(size=(2, size))
    mean, noise = c / (c + 1) * a, c / (c + 1) * np.eye(size)
    precision = np.linalg.inv(noise) + mean.T @ np.linalg.inv(noise) @ mean
    expected = np.linalg.solve(precision, np.linalg.inv(noise) @ mean @ start + mean.T @ np.linalg.inv(noise) @ goal)
    found = gaussian_waypoint(
        jnp.array(psi @ a.T), jnp.array(psi), jnp.ones(4000, bool), jnp.array(start), jnp.array(goal)
    )
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_drawn_candidate_differs_from_key_to_key(one, begun):
    picked = {one(*begun, budget="subgoals=8,score=sum,pick=draw", key=jax.random.key(i)).tobytes() for i in range(6)}
    assert len(picked) > 1


def test_rows_of_several_budgets_share_their_episodes(run):
    budgets = tuple(Budget.parse(text) for text in ("mode", "depth=8", "samples=2"))
    rows = spending.evaluate_budgets(run, capability.Protocol(episodes=2, budgets=budgets))
    assert [(row["seed"], row["budget"]) for row in rows] == [(s, str(b)) for s in (0, 1) for b in budgets]
    plain = capability.evaluate_run(run, capability.Protocol(episodes=2))
    for row, budgeted in zip(plain, rows[::3], strict=True):
        assert row["dist_final"] == pytest.approx(budgeted["dist_final"], abs=1e-5)
    assert rows[0]["dist_final"] == rows[1]["dist_final"] != rows[2]["dist_final"]
    assert rows[0]["flops"] < rows[2]["flops"] and rows[0]["serial"] < rows[2]["serial"]


@pytest.mark.parametrize(
    ("env", "budget", "why"),
    [
        ("point_maze", "depth=6", "multiple of the block's 4 layers"),
        ("reacher", "subgoals=4", "in reacher no goal can be lifted to a state; source=replay"),
        ("reacher", "oracle=2", "reacher has no shortest paths"),
    ],
)
def test_a_budget_that_cannot_be_spent_is_refused(env, budget, why):
    config = Config(**TINY | {"env": env})
    place = make_env(config)
    with pytest.raises(ValueError, match=why):
        check_budget(config, place, make_agent(config, place), Budget.parse(budget))
    check_budget(config, place, make_agent(config, place), Budget.parse("subgoals=4,source=replay"))


def test_an_agent_without_a_critic_ranks_nothing():
    config, actor = Config(**TINY), object()
    check_budget(config, make_env(config), actor, Budget.parse("samples=8,rank=medoid"))
    for budget in ("samples=8", "subgoals=4"):
        with pytest.raises(ValueError, match="this agent has no critic"):
            check_budget(config, make_env(config), actor, Budget.parse(budget))


def test_depth_beside_a_budget_is_refused_and_an_exported_agent_has_all_that_budgets_need(one, run, begun, tmp_path):
    with pytest.raises(ValueError, match="say it in the budget"):
        one(*begun, depth=8, budget="samples=2")
    policy.export(run, tmp_path / "agent.safetensors")
    alone = rl_depth.load(tmp_path / "agent.safetensors")
    for budget in ("subgoals=4", "subgoals=4,source=replay"):
        np.testing.assert_array_equal(alone(*begun, budget=budget), one(*begun, budget=budget))


def test_an_agent_without_a_replay_has_no_states_to_pursue(tmp_path):
    config = Config(**TINY | {"env_steps": 400, "evals": 1, "checkpoint_replay": "off"})
    run = rl_depth.train(config, out=tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match=r"source=replay: the checkpoint of epoch \d+ has no replay"):
        spending.evaluate_budgets(run, capability.Protocol(episodes=1, budgets=(Budget(subgoals=2, source="replay"),)))
    policy.export(run, tmp_path / "agent.safetensors")
    alone, budget = rl_depth.load(tmp_path / "agent.safetensors"), "subgoals=2,source=replay"
    with pytest.raises(ConfigError, match="exported without states of its replay"):
        alone(jnp.zeros(4), jnp.ones(2), budget=budget)
