"""The update against the textbook one of `rl_depth.bench.reference`, and what else an agent promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import AgentState, Batch, ContrastiveAgent, Hyper
from rl_depth.agents.crl import _ADAM
from rl_depth.agents.objective import mix_goals
from rl_depth.bench.reference import Reference, restacked
from rl_depth.config import NETWORKS, Config

SIZES = (4, 2, 3)


def setup(**options):
    config = Config(width=16, representation=8, batch_size=32, **options)
    agent = ContrastiveAgent.of(config, *SIZES)
    keys = jax.random.split(jax.random.key(1), 3)
    batch = Batch(*(jax.random.normal(k, (32, n)) for k, n in zip(keys, (4, 3, 2), strict=True)))
    return config, agent, batch


OPTIONS = [
    {"block": "stacked", "depth": 8, "block_layers": 4},
    {"block": "looped", "depth": 8, "block_layers": 4},
    {"block": "stacked", "remat": True, "depth": 16, "block_layers": 1, "random_goals": 0.5},
    {"block": "looped", "remat": True, "depth": 16, "block_layers": 1, "random_goals": 0.25},
    {"block": "looped", "injection": "concat", "energy": "l2", "step_conditioning": True},
    {"block": "looped", "norm": "pre", "latent": "learned", "residual_scale": 0.5},
    {"block": "looped", "norm": "post", "injection": "add", "latent": "zero", "step_limit": 0.2},
    {"block": "iru", "random_goals": 0.5},
    {"block": "iru", "actor_block": "stacked", "psi_block": "looped", "remat": True},
    {"energy": "dot", "loss": "sym_infonce", "norm": "post"},
    {"energy": "cosine", "loss": "bwd_infonce", "norm": "pre"},
    {"energy": "cosine", "logit_scale": "learned", "critic_lr": 1e-2, "random_goals": 0.5},
    {"energy": "cosine", "logit_scale": 10.0, "loss": "sym_infonce"},
    {"squash_epsilon": 1e-6, "random_goals": 0.5},
    {"energy": "dot", "loss": "binary_nce"},
    {"energy": "l2", "loss": "sym_infonce"},
    {"block": "two-level", "norm": "post", "depth": 8, "latent": "learned"},
    {"block": "two-level", "fast_steps": 2, "tie_levels": True, "depth": 12, "block_layers": 1, "rounds": 2},
    {"block": "two-level", "feedback": True, "injection": "concat", "step_conditioning": True, "depth": 8},
    {"block": "two-level", "backprop_steps": "one-step", "fast_steps": 2, "depth": 12, "block_layers": 1, "rounds": 2},
    {"block": "looped", "norm": "post", "residual_scale": "learned", "backprop_steps": 1},
    {"residual_scale": "learned"},
    {"loss": "binary_nce", "actor_block": "looped", "psi_depth": 2, "phi_width": 24},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_update_equals_the_textbook_update(options):
    """In float64, for Adam turns rounding in a near-zero gradient into a step of up to the learning rate."""
    small = {"depth": 4, "block_layers": 2}  # the textbook's compiler takes seconds per layer
    options = {"random_goals": 0.0, "actor_lr": 1e-3, "temperature_lr": 1e-2} | small | options
    config, agent, batch = setup(**options)
    reference = Reference(config, SIZES[2])
    created = jax.jit(agent.create)(jax.random.key(0))
    with jax.enable_x64(True):
        wide = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float64))
        params, batch, hyper = wide(created.params), wide(batch), Hyper.of(config)
        state, slow = AgentState(params=params, optimizer=_ADAM.init(params)), reference.create(params)
        update = jax.jit(agent.update)
        for step in range(2):
            key = jax.random.key(step)
            state, _ = update(state, batch, hyper, key)
            slow = reference.update(slow, batch, hyper, agent.action_key(key))  # not compiled: that takes longer
    wanted = {name: restacked(config.trunk(name), slow.params[name]) for name in NETWORKS}
    scalars = {name: own for name, own in slow.params.items() if name not in NETWORKS}
    wanted = dict(jax.tree_util.tree_leaves_with_path(wanted | scalars))
    assert len(wanted) == len(jax.tree.leaves(state.params))
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        np.testing.assert_allclose(leaf, wanted[path], atol=1e-8, err_msg=str(path))


def test_gradients_equal_the_textbook_ones_to_float32_rounding():
    """The first step's gradients, read off Adam's first moment, in the precision that users train with."""
    config, agent, batch = setup(depth=16, random_goals=0.5)
    reference = Reference(config, SIZES[2])
    state = jax.jit(agent.create)(jax.random.key(0))
    slow = reference.create(state.params)
    key = jax.random.key(1)
    state, _ = jax.jit(agent.update)(state, batch, Hyper.of(config), key)
    slow = jax.jit(reference.update)(slow, batch, Hyper.of(config), agent.action_key(key))
    moments = {"actor": slow.optimizers["actor"].mu, **slow.optimizers["critic"].mu}
    for name in NETWORKS:
        wanted = restacked(config.trunk(name), moments[name])
        for ours, theirs in zip(jax.tree.leaves(state.optimizer.mu[name]), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6 * np.abs(theirs).max())


def test_random_goals_reach_the_actor_alone():
    config, agent, batch = setup(random_goals=0.0)
    _, mixed, _ = setup(random_goals=0.5)
    state = jax.jit(agent.create)(jax.random.key(0))
    (plain, _), (other, _) = (
        jax.jit(one.update)(state, batch, Hyper.of(config), jax.random.key(2)) for one in (agent, mixed)
    )
    assert all(map(np.array_equal, *map(jax.tree.leaves, (plain.params["phi"], other.params["phi"]))))
    assert not np.allclose(plain.params["actor"]["head"]["kernel"], other.params["actor"]["head"]["kernel"])


def test_mixed_goals_are_those_of_the_next_transition():
    _, agent, batch = setup(random_goals=0.25)
    mixed = mix_goals(agent.random_goals, batch.goal)
    np.testing.assert_array_equal(mixed[:8], batch.goal[1:9])
    np.testing.assert_array_equal(mixed[8:], batch.goal[8:])


def test_the_mode_and_draws_lie_in_the_action_range():
    _, agent, batch = setup()
    params = jax.jit(agent.create)(jax.random.key(0)).params
    mode = agent.act(params, batch.state, batch.goal)
    draw = agent.act(params, batch.state, batch.goal, jax.random.key(1))
    assert mode.shape == draw.shape == (32, 3)
    assert np.abs(mode).max() < 1 and np.abs(draw).max() <= 1
    assert not np.allclose(mode, draw)


def test_a_known_critic_is_learnt():
    """Goals that equal the action make it the one thing to tell apart: accuracy rises to nearly one."""
    config, agent, _ = setup(critic_lr=3e-3, depth=4)
    agent = ContrastiveAgent.of(config, 4, 3, 3)
    state = jax.jit(agent.create)(jax.random.key(0))
    hyper = Hyper.of(config)

    def step(state, key):
        keys = jax.random.split(key, 3)
        action = jax.random.uniform(keys[0], (32, 3), minval=-1)
        batch = Batch(jax.random.normal(keys[1], (32, 4)), action, action)
        return agent.update(state, batch, hyper, keys[2])

    state, metrics = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(5), 600)))(state)
    assert metrics["categorical_accuracy"][:20].mean() < 0.3
    assert metrics["categorical_accuracy"][-20:].mean() > 0.9


def test_the_logit_scale_begins_and_ends_where_clip_has_it():
    config, agent, batch = setup(energy="cosine", logit_scale="learned", depth=4)
    state = jax.jit(agent.create)(jax.random.key(0))
    np.testing.assert_allclose(jnp.exp(state.params["log_logit_scale"]), 1 / 0.07, rtol=1e-6)
    beyond = state.replace(params={**state.params, "log_logit_scale": jnp.log(1000.0)})
    beyond, metrics = jax.jit(agent.update)(beyond, batch, Hyper.of(config), jax.random.key(1))
    np.testing.assert_allclose(metrics["logit_scale"], 1000, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(beyond.params["log_logit_scale"]), 100, rtol=1e-5)


def test_the_logit_scale_multiplies_energies_and_logits_alike():
    _, plain, batch = setup(energy="cosine")
    _, agent, _ = setup(energy="cosine", logit_scale="learned")
    params = jax.jit(agent.create)(jax.random.key(0)).params
    phi, psi = agent.encode(params, batch)
    for name in ("similarity", "logits"):
        scaled, bare = (getattr(one, name)(params, phi, psi) for one in (agent, plain))
        np.testing.assert_allclose(scaled, bare / 0.07, rtol=1e-5)
    np.testing.assert_allclose(
        jnp.diagonal(agent.logits(params, phi, psi)), agent.similarity(params, phi, psi), rtol=1e-5
    )
    found = agent.energy(params, batch.state, batch.action, batch.goal)
    np.testing.assert_allclose(found, agent.similarity(params, phi, psi), rtol=1e-5)


def test_a_learned_logit_scale_trains_where_the_plain_cosine_stalls():
    """No critic of a bare cosine gets below log(1 + (B - 1) / e^2): 1.65 nats at a batch of 32."""
    bound = np.log(1 + 31 / np.e**2)
    final = {}
    for scale in (1.0, "learned"):
        config, _, _ = setup(critic_lr=3e-3, depth=4, energy="cosine", logit_scale=scale)
        agent = ContrastiveAgent.of(config, 4, 3, 3)
        hyper = Hyper.of(config)

        def step(state, key, agent=agent, hyper=hyper):
            keys = jax.random.split(key, 3)
            action = jax.random.uniform(keys[0], (32, 3), minval=-1)
            return agent.update(state, Batch(jax.random.normal(keys[1], (32, 4)), action, action), hyper, keys[2])

        state = jax.jit(agent.create)(jax.random.key(0))
        _, metrics = jax.jit(partial(jax.lax.scan, step))(state, jax.random.split(jax.random.key(5), 600))
        final[scale] = float(metrics["infonce"][-20:].mean())
    assert final[1.0] > bound
    assert final["learned"] < bound / 2
