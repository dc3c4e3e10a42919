"""Train a looped agent, act with it at several depths, and look at what it learnt.

Cells are marked with `# %%`: run them one by one in an editor or as a notebook, or the file as a whole:
`python examples/first_steps.py`. It takes about a minute on a laptop.
"""

# %% Train: a depth-8 looped agent in the u maze, small enough for a CPU.
import sys
from pathlib import Path

import jax

import rl_depth

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/first_steps")
config = rl_depth.Config(block="looped", depth=8, env_steps=80_000, evals=5)
run = rl_depth.train(config, out=folder, resume=True)

# %% What happened: one row per evaluation and seed.
for row in run.metrics():
    print(f"{row['env_steps']:>8,} steps: success_any {row['success_any']:.2f}, time at goal {row['time_at_goal']:.0f}")

# %% Act: the policy takes the state and the goal, and for a looped agent any depth.
policy = rl_depth.load(run)
env = policy.env
state = jax.jit(env.reset)(jax.random.key(0))
obs, goal = state.obs[: env.state_size], state.obs[env.state_size :]
for depth in (4, 8, 32):
    print(f"depth {depth:>2}: action {policy(obs, goal, depth=depth)}")

# %% Follow it through one episode of the environment it was trained in.
step = jax.jit(env.step)
for _ in range(env.episode_length):
    action = policy(state.obs[: env.state_size], state.obs[env.state_size :])
    state = step(state, action)
print(f"distance to the goal at the end: {float(state.metrics['dist']):.2f} m")
