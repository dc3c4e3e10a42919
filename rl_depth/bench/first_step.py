"""From nothing to the end of an agent's first gradient step: what `rl-depth bench` starts in a process of its own.

``python -m rl_depth.bench.first_step ours|reference BLOCK DEPTH WIDTH BATCH`` prints a JSON object with
the seconds of each part.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ..config import BlockKind


def main(kind: str, block: BlockKind, depth: int, width: int, batch_size: int) -> dict[str, float]:
    """Make an agent of ant's sizes and take a gradient step. Seconds of ``import``, ``init``, ``compile``, ``step``."""
    marks = [time.perf_counter()]

    def mark() -> float:
        marks.append(time.perf_counter())
        return marks[-1] - marks[-2]

    from .. import device

    device.keep_programs()
    import jax

    from . import workload
    from .reference import Reference

    seconds = {"import": mark()}
    load = workload.make(block, depth, width, batch_size)
    if kind == "ours":
        state = jax.jit(load.agent.create)(jax.random.key(0))
        update, options = load.agent.update, device.learning_options()
    else:
        reference = Reference(load.config, workload.ACTION)
        state = reference.init(jax.random.key(0), workload.STATE, workload.GOAL)
        update, options = reference.update, {}
    jax.block_until_ready(state)
    seconds["init"] = mark()
    arguments = (state, load.batch, load.hyper, jax.random.key(1))
    program = jax.jit(update, donate_argnums=0, compiler_options=options).lower(*arguments).compile()
    seconds["compile"] = mark()
    jax.block_until_ready(program(*arguments))
    seconds["step"] = mark()
    return seconds


if __name__ == "__main__":
    kind, block, depth, width, batch_size = sys.argv[1:]
    print(json.dumps(main(kind, cast("BlockKind", block), int(depth), int(width), int(batch_size))), flush=True)
