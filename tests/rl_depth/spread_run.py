"""Started by test_devices.py with four forced CPU devices: every layout against one device.

The gradient steps are taken in float64, for in float32 Adam would turn rounding in a near-zero gradient into a step of
up to the learning rate; environments run in float32.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from conftest import TINY

from rl_depth.config import Config
from rl_depth.sharding import Layout
from rl_depth.training import Programs, Trainer, from_arrays, seeds_of, to_arrays

SEEDS = 4
# seeds, devices: the mesh they make
MESHES = {(4, 4): (4, 1), (4, 2): (2, 1), (2, 4): (2, 2), (1, 4): (1, 4)}


def train(seeds: int, devices: int):
    """Layout, programs, collected state, episodes, state after gradient steps and their metrics."""
    config = Config(**TINY, seeds=seeds)
    layout = Layout.of(config, devices)
    programs = Programs.of(Trainer.of(config, layout))
    state = programs.init(layout.put(np.asarray(seeds_of(config)), layout.per_seed()))
    for _ in range(config.warmup_epochs + 1):
        state = programs.collect(state)
    episodes = programs.evaluate(state)
    with jax.enable_x64(True):
        learned, metrics = programs.learn(jax.tree.map(widen, state))
    return layout, programs, state, episodes, learned, metrics


def widen(leaf):
    """A float64 copy, where it lies."""
    floats = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.jit(lambda x: x.astype(jnp.float64) if floats else x.copy(), out_shardings=leaf.sharding)(leaf)


def assert_close(found, wanted, tolerance):
    """Equal for the seeds that were found."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        own = np.asarray(found[name])
        np.testing.assert_allclose(own, np.asarray(value)[: len(own)], rtol=tolerance, atol=tolerance, err_msg=name)


def check(seeds, devices, mesh, wanted):
    layout, programs, state, episodes, learned, metrics = train(seeds, devices)
    assert tuple(layout.shape.values()) == mesh, layout.shape
    arrays = to_arrays(state)
    for found, alone, tolerance in zip(
        (arrays, episodes, to_arrays(learned), metrics), wanted, (1e-5, 1e-5, 1e-9, 1e-9), strict=True
    ):
        assert_close(found, alone, tolerance)

    # Truly spread: each device holds its part of the replay buffer, and learning gathers no more than a batch of it.
    whole, part = state.replay.state, state.replay.state.addressable_shards[0].data
    assert len({shard.device for shard in whole.addressable_shards}) == devices
    assert part.shape == (seeds // mesh[0], whole.shape[1], whole.shape[2] // mesh[1], whole.shape[3])
    text = programs.learn.lower(state).compile().as_text()
    assert ("all-reduce" in text) == (mesh[1] > 1)
    steps, envs, size = whole.shape[1:]
    assert not re.search(rf"\[(\d+,)?{steps},{envs},{size}\]\S* all-gather", text)

    # A checkpoint may go on with other devices.
    template = jax.eval_shape(lambda: state)
    other = Layout.of(Config(**TINY, seeds=seeds), 1)
    back = to_arrays(from_arrays(template, to_arrays(from_arrays(template, arrays, other)), layout))
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def main():
    assert jax.local_device_count() == 4
    _, _, state, episodes, learned, metrics = train(SEEDS, 1)
    wanted = to_arrays(state), episodes, to_arrays(learned), metrics
    kernel = learned.agent.params["actor"]["head"]["kernel"]
    assert kernel.dtype == jnp.float64 and not np.allclose(kernel, state.agent.params["actor"]["head"]["kernel"])
    for (seeds, devices), mesh in MESHES.items():
        check(seeds, devices, mesh, wanted)
        print(mesh, "ok", flush=True)


if __name__ == "__main__":
    main()
