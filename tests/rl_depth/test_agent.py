"""The update against a textbook one: three separate losses, each with its own gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rl_depth import losses
from rl_depth.agent import _ADAM, Agent, AgentState, Batch, Hyper
from rl_depth.config import Config

SIZES = (4, 2, 3)


def setup(**options):
    config = Config(width=16, representation=8, batch_size=32, **options)
    agent = Agent.of(config, *SIZES)
    keys = jax.random.split(jax.random.key(1), 3)
    batch = Batch(*(jax.random.normal(k, (32, n)) for k, n in zip(keys, (4, 3, 2), strict=True)))
    return config, agent, batch


def textbook_update(config, agent, params, opts, batch, *, key):
    """One step of three optimizers, psi(g) computed anew for the actor."""
    adam = {"actor": config.actor_lr, "critic": config.critic_lr, "temperature": config.temperature_lr}

    def energies(p, goal, action):
        phi = agent.phi.apply({"params": p["phi"]}, jnp.concatenate([batch.state, action], -1))
        return phi, agent.psi.apply({"params": p["psi"]}, goal)

    def critic_loss(critic):
        phi, psi = energies(critic, batch.goal, batch.action)
        logits = losses.pairwise_energy(config.energy, phi, psi)
        return losses.contrastive_loss(config.loss, logits, config.logsumexp_penalty)[0]

    def draw(actor):
        outputs = agent.actor.apply({"params": actor}, jnp.concatenate([batch.state, batch.goal], -1))
        return losses.sample_action(outputs, key)

    def actor_loss(actor):
        action, log_prob = draw(actor)
        reached = losses.energy(config.energy, *energies(params, batch.goal, action))
        return jnp.mean(jnp.exp(params["log_temperature"]) * log_prob - reached)

    def temperature_loss(log_temperature):
        entropy = -jnp.mean(draw(params["actor"])[1])
        return jnp.exp(log_temperature) * (entropy - config.target_entropy * 3)

    critic = {"phi": params["phi"], "psi": params["psi"]}
    grads = {
        "critic": jax.grad(critic_loss)(critic),
        "actor": jax.grad(actor_loss)(params["actor"]),
        "temperature": jax.grad(temperature_loss)(params["log_temperature"]),
    }
    values = {"critic": critic, "actor": params["actor"], "temperature": params["log_temperature"]}
    new, states = {}, {}
    for name, rate in adam.items():
        optimizer = optax.adam(rate)
        state = opts[name] if opts else optimizer.init(values[name])
        step, states[name] = optimizer.update(grads[name], state)
        new[name] = optax.apply_updates(values[name], step)
    return {**new["critic"], "actor": new["actor"], "log_temperature": new["temperature"]}, states


@pytest.mark.parametrize(
    "options",
    [
        {"block": "stacked"},
        {"block": "looped"},
        {"block": "looped", "injection": "concat", "energy": "l2"},
        {"energy": "dot", "loss": "sym_infonce"},
        {"energy": "cosine", "loss": "bwd_infonce"},
        {"loss": "binary_nce", "actor_block": "looped", "psi_depth": 4, "phi_width": 24},
    ],
    ids=str,
)
def test_update_equals_the_textbook_update(options):
    """In float64, for Adam turns rounding in a near-zero gradient into a step of up to the learning rate."""
    config, agent, batch = setup(**options, random_goals=0.0, actor_lr=1e-3, temperature_lr=1e-2)
    with jax.enable_x64(True):
        wide = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float64))
        params, opts, batch, hyper = wide(agent.create(jax.random.key(0)).params), None, wide(batch), Hyper.of(config)
        state = AgentState(params=params, optimizer=_ADAM.init(params))
        update = jax.jit(agent.update)
        for step in range(3):
            key = jax.random.key(step)
            state, _ = update(state, batch, hyper, key)
            action_key = jax.random.split(key, 3)[0]
            params, opts = textbook_update(config, agent, params, opts, batch, key=action_key)
    wanted = dict(jax.tree_util.tree_leaves_with_path(params))
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        np.testing.assert_allclose(leaf, wanted[path], atol=1e-8, err_msg=str(path))


def test_random_goals_reach_the_actor_alone():
    config, agent, batch = setup(random_goals=0.0)
    _, mixed, _ = setup(random_goals=0.5)
    state = agent.create(jax.random.key(0))
    (plain, _), (other, _) = (a.update(state, batch, Hyper.of(config), jax.random.key(2)) for a in (agent, mixed))
    assert all(map(np.array_equal, *map(jax.tree.leaves, (plain.params["phi"], other.params["phi"]))))
    assert not np.allclose(plain.params["actor"]["head"]["kernel"], other.params["actor"]["head"]["kernel"])


def test_mixed_goals_are_those_of_the_next_transition():
    _, agent, batch = setup(random_goals=0.25)
    mixed = agent._mix_goals(batch.goal)
    np.testing.assert_array_equal(mixed[:8], batch.goal[1:9])
    np.testing.assert_array_equal(mixed[8:], batch.goal[8:])


def test_the_mode_and_draws_lie_in_the_action_range():
    _, agent, batch = setup()
    params = agent.create(jax.random.key(0)).params
    mode = agent.act(params, batch.state, batch.goal)
    draw = agent.act(params, batch.state, batch.goal, jax.random.key(1))
    assert mode.shape == draw.shape == (32, 3)
    assert np.abs(mode).max() < 1 and np.abs(draw).max() <= 1
    assert not np.allclose(mode, draw)


def test_a_known_critic_is_learnt():
    """Goals that equal the action make it the one thing to tell apart: accuracy rises to nearly one."""
    config, agent, _ = setup(critic_lr=3e-3, depth=4)
    agent = Agent.of(config, 4, 3, 3)
    state = agent.create(jax.random.key(0))
    hyper = Hyper.of(config)

    def step(state, key):
        keys = jax.random.split(key, 3)
        action = jax.random.uniform(keys[0], (32, 3), minval=-1)
        batch = Batch(jax.random.normal(keys[1], (32, 4)), action, action)
        return agent.update(state, batch, hyper, keys[2])

    state, metrics = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(5), 600)))(state)
    assert metrics["categorical_accuracy"][:20].mean() < 0.3
    assert metrics["categorical_accuracy"][-20:].mean() > 0.9
