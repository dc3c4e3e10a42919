"""The agents that come with the documentation load from their files, and reach their goals."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import rl_depth

AGENTS = Path(__file__).parents[2] / "docs" / "agents"
EPISODES = 48


def success(policy, depth: int) -> float:
    """Share of episodes of the evaluation split that reach their goal, by the policy's mode."""
    env = rl_depth.envs.make(policy.config.env, split="eval")
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(5), EPISODES))
    step = jax.jit(jax.vmap(env.step))
    reached = jnp.zeros(EPISODES)
    for _ in range(env.episode_length):
        action = policy(state.obs[:, : env.state_size], state.obs[:, env.state_size :], depth=depth)
        state = step(state, action)
        reached = jnp.maximum(reached, state.metrics["success"])
    return float(jnp.mean(reached))


@pytest.mark.parametrize(
    ("block", "depth", "least"), [("stacked", 8, 0.9), ("looped", 4, 0.7), ("looped", 8, 0.7), ("looped", 16, 0.7)]
)
def test_agents_that_ship_reach_their_goals(block, depth, least):
    file = AGENTS / f"point-maze-{block}.safetensors"
    assert file.stat().st_size < 1_000_000
    policy = rl_depth.load(file)
    assert (policy.config.env, policy.config.block, policy.epoch) == ("point_maze", block, 50)
    assert success(policy, depth) >= least
