"""Operations and parameters against what XLA counts and what is really there."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from rl_depth.agents import objective
from rl_depth.agents.cost import action_price, agent_cost, agent_memory, network_cost, noise_bound_cost, turns_of
from rl_depth.agents.objective import Noise
from rl_depth.bench import workload
from rl_depth.bench.reference import Reference
from rl_depth.config import PRESETS, Budget, Config
from rl_depth.evaluation.budgeted import Budgeted, Shape, Spend
from rl_depth.sweeps import sweep
from rl_depth.training.trainer import make_agent, make_env

# Wide enough for matrix products to be nearly all there is.
WIDTH, BATCH = 256, 128


PLAIN = {"looped": {"injection": "none"}, "two-level": {"feedback": True}}  # no product that XLA shares


@pytest.mark.parametrize("block", ["stacked", "looped", "two-level", "iru"])
def test_operations_are_those_that_xla_counts(block):
    """Of the textbook update, whose layers are unrolled: XLA counts the body of a loop once."""
    load = workload.make(block, 8, WIDTH, BATCH, **PLAIN.get(block, {}))
    reference = Reference(load.config, workload.ACTION)
    state = jax.eval_shape(lambda key: reference.create(load.agent.create(key).params), jax.random.key(0))
    lowered = jax.jit(reference.update).lower(state, load.batch, load.hyper, jax.random.key(0))
    counted = lowered.compile().cost_analysis()["flops"]
    ours = agent_cost(load.config, *workload.SIZES).flops_per_update
    psi = network_cost(
        load.config.trunk("psi"), turns_of(load.config)["psi"], workload.GOAL, load.config.representation
    )
    ours += BATCH * psi.forward  # computed anew for the actor there
    assert ours < counted  # XLA also counts LayerNorm, swish and Adam
    assert ours == pytest.approx(counted, rel=0.1)


WAYS = {
    "weighted": {"segment_weights": "late", "cross_depth": True},
    "actor": {"actor_segments": "all", "consistency": 1.0},
    "horizon": {"segment_horizon": 20.0},
    "halting": {"halting_head": True},
    "truncated": {"backprop_steps": 1},
    "one-step": {"block": "two-level", "depth": 16, "fast_steps": 1, "backprop_steps": "one-step"},
    "drawn": {"supervise": "drawn", "halting_head": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_operations_of_supervised_segments_are_those_that_xla_counts(way):
    """Of the textbook update, means over the drawn segment, which is unrolled to its end."""
    options = {"block": "looped", "supervise": "all", "segments": 2, "injection": "add", "depth": 16} | WAYS[way]
    load = workload.make(options.pop("block"), options.pop("depth"), WIDTH, BATCH, block_layers=4, **options)
    batch, reference = load.batch, Reference(load.config, workload.ACTION)
    if load.config.segment_horizon is not None:
        batch = batch.replace(segment_goals=jnp.stack([batch.goal, 2 * batch.goal], axis=1))
    state = jax.eval_shape(lambda key: reference.create(load.agent.create(key).params), jax.random.key(0))
    counted = []
    for segment in (1, 2):
        update = partial(reference.update, segment=segment, pair=(0, 1))
        lowered = jax.jit(update).lower(state, batch, load.hyper, jax.random.key(0))
        counted.append(lowered.cost_analysis()["flops"])
    ours = agent_cost(load.config, *workload.SIZES).flops_per_update
    psi = network_cost(load.config.trunk("psi"), turns_of(load.config)["psi"], workload.GOAL, 64)
    ours += BATCH * psi.forward // (2 if way == "horizon" else 1)  # computed anew for the actor there
    assert ours == pytest.approx(sum(counted) / 2, rel=0.15)


@pytest.mark.parametrize(
    "options",
    [
        {"block": "looped", "supervise": "all", "segments": 2, "halting_head": True, "residual_scale": "learned"},
        {"block": "stacked"},
        {"block": "looped"},
        {"block": "looped", "injection": "concat", "step_conditioning": True, "latent": "learned", "norm": "pre"},
        {"block": "stacked", "norm": "post", "psi_depth": 4, "phi_width": 16},
        {"block": "iru", "actor_block": "stacked"},
        {"block": "two-level", "norm": "post", "latent": "learned", "feedback": True},
        {"block": "two-level", "tie_levels": True, "rounds": 2, "injection": "concat"},
        {"block": "two-level", "noise_transition": "learned"},
        {"block": "stacked", "noise_transition": "fixed:0.1"},
    ],
    ids=str,
)
def test_parameters_are_those_of_the_agent(options):
    load = workload.make(options.pop("block"), 16, 8, 32, **options)
    params = jax.eval_shape(load.agent.create, jax.random.key(0)).params
    assert agent_cost(load.config, *workload.SIZES).parameters == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_an_action_takes_what_the_actor_takes():
    load = workload.make("stacked", 4, WIDTH, BATCH)
    act = jax.jit(lambda params: load.agent.act(params, load.batch.state, load.batch.goal))
    state = jax.jit(load.agent.create)(jax.random.key(0))
    # A block of four layers stands in a loop that runs once, so that nothing is left out.
    counted = act.lower(state.params).compile().cost_analysis()["flops"] / BATCH
    assert agent_cost(load.config, *workload.SIZES).flops_per_action == pytest.approx(counted, rel=0.1)


BUDGETS = [
    "mode", "samples=1", "samples=8", "samples=8,rank=medoid", "noise=0.1", "samples=8,noise=0.1",
    "samples=8,noise=own", "subgoals=8", "subgoals=8,score=sum", "subgoals=8,score=graph", "subgoals=8,score=gaussian",
    "subgoals=8,pick=bound", "subgoals=8,score=sum,pick=draw", "samples=4,subgoals=4",
]  # fmt: skip


@pytest.mark.parametrize("noise", ["learned", "fixed:0.1"])
def test_a_bound_of_the_noise_takes_what_xla_counts(noise):
    """Of a trunk of two applications, so that the loop before the last, which is counted once, runs once."""
    options = {"noise_transition": noise, "noise_objective": "elbo-action"}
    load = workload.make("looped", 8, WIDTH, BATCH, block_layers=4, **options)
    state = jax.eval_shape(load.agent.create, jax.random.key(0))

    def loss(actor, key):
        noise = Noise(action=key, latents={"actor": key}, draws={"actor": None})
        return objective.noise_bound_loss(load.agent, {"actor": actor}, load.batch, noise)[0]

    key = jax.eval_shape(jax.random.key, 0)
    lowered = jax.jit(jax.grad(loss)).lower(state.params["actor"], key)
    counted = lowered.compile().cost_analysis()["flops"] / BATCH
    found = noise_bound_cost(
        load.config, workload.STATE + workload.GOAL, 2 * workload.ACTION, workload.GOAL, workload.ACTION
    )
    assert found.flops == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize("text", BUDGETS)
def test_a_budget_takes_what_xla_counts(text):
    """Of programs whose loops all run once: plan and choice lowered apart, for a choice of branches is no sum."""
    budget = Budget.parse(text)
    noise = "learned" if budget.noise == "own" else None
    config = Config(block="looped", depth=4, width=WIDTH, batch_size=32, noise_transition=noise)
    env = make_env(config)
    agent = make_agent(config, env)
    params = jax.eval_shape(agent.create, jax.random.key(0)).params
    spend = Spend.of(budget, config)
    state, goal = jnp.zeros((BATCH, env.state_size)), jnp.zeros((BATCH, env.goal_size))

    def flops(part: str) -> float:
        def run(params, keys):
            return jax.vmap(getattr(Budgeted(agent, params, env, Shape.of(budget), spend), part))(state, goal, keys)

        keys = jax.eval_shape(lambda key: jax.random.split(key, BATCH), jax.random.key(0))
        return jax.jit(run).lower(params, keys).compile().cost_analysis()["flops"] / BATCH

    counted = flops("choose") + (flops("plan") if budget.subgoals else 0)
    price = action_price(config, budget, env.state_size, env.goal_size, env.action_size)
    assert price.flops == pytest.approx(counted, rel=0.1)


def test_what_is_done_once_for_several_steps_is_spread_over_them():
    config, sizes = Config(block="looped", depth=8, width=32), (4, 2, 2)
    act, often, seldom = (
        action_price(config, Budget.parse(t), *sizes) for t in ("mode", "subgoals=8", "subgoals=8,replan=4")
    )
    assert often.flops - act.flops == pytest.approx(4 * (seldom.flops - act.flops))
    assert act.flops == agent_cost(config, *sizes).flops_per_action


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("mode", 8 + 2),
        ("depth=16", 16 + 2),
        ("samples=1", 8 + 2),
        ("samples=32", 8 + 2 + 4 + 2),  # then phi, whatever the number; psi beside both
        ("samples=32,rank=medoid", 8 + 2),
        ("samples=8,noise=0.1", 8 + 2 + 4 + 2),
        ("subgoals=64", 2 * (8 + 2) + 4 + 2),
        ("subgoals=64,replan=4", 8 + 2 + (8 + 2 + 4 + 2) / 4),
        ("oracle=2", 8 + 2),
    ],
)
def test_layers_in_sequence_do_not_grow_with_width(text, layers):
    config = Config(block="looped", actor_depth=8, phi_depth=4, psi_depth=4, width=32)
    assert action_price(config, Budget.parse(text), 4, 2, 2).serial == layers


def test_noise_that_is_learned_adds_a_layer_to_each_application():
    plain, noisy = (Config(block="looped", depth=8, width=32, noise_transition=own) for own in (None, "learned"))
    sizes, budget = (4, 2, 2), Budget(samples=4, noise=0.1)
    assert action_price(noisy, Budget(), *sizes).serial - action_price(plain, Budget(), *sizes).serial == 2
    assert action_price(noisy, budget, *sizes).flops - action_price(plain, budget, *sizes).flops == 4 * 2 * 4 * 32**2


def test_layers_in_sequence_of_a_trunk_with_levels_and_feedback():
    config = Config(block="two-level", depth=16, fast_steps=1, feedback=True, width=32)
    assert action_price(config, Budget(), 4, 2, 2).serial == 2 + 2 * (2 * 4 + 2)  # two applications of two blocks each


@pytest.mark.parametrize("block", ["stacked", "looped", "two-level", "iru"])
def test_rematerialisation_takes_less_memory_and_more_operations(block):
    plain, remat = (workload.make(block, 256, 32, 64, remat=remat) for remat in (False, True))
    costs = [agent_cost(load.config, *workload.SIZES) for load in (plain, remat)]
    assert costs[0].flops_per_update < costs[1].flops_per_update < 1.5 * costs[0].flops_per_update
    counted = [
        agent_memory(load.config, cost, 29, 2, 8).activations for load, cost in zip((plain, remat), costs, strict=True)
    ]
    planned = []
    for load in (plain, remat):
        state = jax.eval_shape(load.agent.create, jax.random.key(0))
        lowered = jax.jit(load.agent.update, donate_argnums=0).lower(state, load.batch, load.hyper, jax.random.key(0))
        planned.append(lowered.compile().memory_analysis().temp_size_in_bytes)
    assert counted[1] < counted[0] / 5
    assert planned[1] < planned[0]
    assert (planned[0] - planned[1]) == pytest.approx(counted[0] - counted[1], rel=0.25)


def test_the_arms_of_the_recurrence_experiment_cost_the_same():
    """But for the two that have A's law and a shorter gradient, which are cheaper."""
    cells = sweep.read(PRESETS / "sweeps" / "recurrence.toml", Path("runs"))
    env = make_env(cells[0].config)
    sizes = (env.state_size, env.goal_size, env.action_size)
    costs = {cell.name: agent_cost(cell.config, *sizes) for cell in cells}
    shares = {name: cost.flops_per_update / costs["uniform.1.8"].flops_per_update for name, cost in costs.items()}
    cheaper = {name: shares.pop(name) for name in ("uniform.1.8-backprop_steps1", "uniform.1.8-backprop_steps2")}
    assert all(0.94 <= share <= 1.01 for share in shares.values()), shares
    assert all(share < 0.7 for share in cheaper.values())
    assert len({cost.flops_per_action for cost in costs.values()}) == 1
