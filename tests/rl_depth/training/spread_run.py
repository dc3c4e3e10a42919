"""Started by test_devices.py with four forced CPU devices: every kind of mesh against one device.

The gradient steps are taken in float64, for in float32 Adam would turn rounding in a near-zero gradient into a step of
up to the learning rate; environments run in float32. Each part starts from the one device's numbers.
"""

import re

import jax
import numpy as np
from conftest import TINY

from rl_depth.config import Config
from rl_depth.training.sharding import Layout
from rl_depth.training.trainer import Programs, Trainer, from_arrays, seeds_of, to_arrays

# seeds on four devices: the mesh they make
MESHES = {4: (4, 1), 2: (2, 2), 1: (1, 4)}


class Spread:
    """So many seeds on so many devices."""

    def __init__(self, seeds: int, devices: int):
        self.config = Config(**TINY, seeds=seeds)
        self.layout = Layout.of(self.config, devices)
        self.programs = Programs.of(Trainer.of(self.config, self.layout))

    def collected(self):
        """The state before the first gradient step."""
        seeds = np.asarray(seeds_of(self.config))
        state = self.programs.init(self.layout.put(seeds, self.layout.per_seed()))
        for _ in range(self.config.warmup_epochs + 1):
            state = self.programs.collect(state)
        return state

    def learned(self, template, arrays):
        """State and metrics after an epoch's gradient steps in float64, and the program's text."""
        with jax.enable_x64(True):
            wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in arrays.items()}
            state = from_arrays(jax.tree.map(widened, template), wide, self.layout)
            program = self.programs.learn.lower(state).compile()
            learned, metrics = program(state)
        return to_arrays(learned), metrics, program.as_text()


def widened(leaf):
    dtype = np.float64 if leaf.dtype == np.float32 else leaf.dtype
    return jax.ShapeDtypeStruct(leaf.shape, dtype)


def assert_close(found, wanted, tolerance):
    """Equal for the seeds that were found."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        own = np.asarray(found[name])
        np.testing.assert_allclose(own, np.asarray(value)[: len(own)], rtol=tolerance, atol=tolerance, err_msg=name)


def check(seeds, mesh, wanted):
    """Numbers of one device, and arrays that lie where they should."""
    alone, episodes, learned, metrics = wanted
    spread = Spread(seeds, 4)
    assert tuple(spread.layout.shape.values()) == mesh, spread.layout.shape
    state = spread.collected()
    arrays = to_arrays(state)
    assert_close(arrays, alone, 1e-5)
    assert_close(spread.programs.evaluate(state), episodes, 1e-5)
    first = {name: array[:seeds] for name, array in alone.items()}
    found, its_metrics, text = spread.learned(state, first)
    assert_close(found, learned, 1e-9)
    assert_close(its_metrics, metrics, 1e-9)

    # Truly spread: each device holds its part of the replay buffer, and learning gathers no more than a batch of it.
    whole, part = state.replay.state, state.replay.state.addressable_shards[0].data
    assert len({shard.device for shard in whole.addressable_shards}) == 4
    assert part.shape == (seeds // mesh[0], whole.shape[1], whole.shape[2] // mesh[1], whole.shape[3])
    assert ("all-reduce" in text) == (mesh[1] > 1)
    assert not re.search(rf"\[(\d+,)?{','.join(map(str, whole.shape[1:]))}\]\S* all-gather", text)

    # A checkpoint may go on with other devices.
    other = to_arrays(from_arrays(state, arrays))
    for name, array in to_arrays(from_arrays(state, other, spread.layout)).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def main():
    assert jax.local_device_count() == 4
    one = Spread(max(MESHES), 1)
    state = one.collected()
    alone, episodes = to_arrays(state), one.programs.evaluate(state)
    learned, metrics, _ = one.learned(state, alone)
    kernel = ".agent.params['actor']['head']['kernel']"
    assert learned[kernel].dtype == np.float64 and not np.allclose(learned[kernel], alone[kernel])
    for seeds, mesh in MESHES.items():
        check(seeds, mesh, (alone, episodes, learned, metrics))
        print(mesh, "ok", flush=True)


if __name__ == "__main__":
    main()
