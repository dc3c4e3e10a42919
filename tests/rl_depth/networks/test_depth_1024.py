"""The deepest trunks train, with and without recomputation."""

from pathlib import Path

import numpy as np
import pytest

from rl_depth.config import Config
from rl_depth.training import session

DEPTH = 1024


@pytest.mark.slow
@pytest.mark.parametrize("block", ["stacked", "looped"])
def test_a_trunk_of_1024_layers_trains_the_same_with_and_without_remat(cli, tmp_path: Path, block):
    options = cli.tiny | {"depth": DEPTH, "env_steps": 240, "evals": 2, "eval_episodes": 2}
    rows = {}
    for remat in (False, True):
        run = session.train(Config(**options, block=block, remat=remat), tmp_path / f"{remat}")
        assert run.status()["state"] == "finished" and not run.status()["diverged"]
        rows[remat] = run.metrics()[0]
        assert rows[remat]["grad_steps"] == 3
        moments = {n: a for n, a in run.load_checkpoint().arrays.items() if "mu" in n and "actor" in n}
        assert moments and all(np.abs(array).max() > 0 for array in moments.values())
    for name in ("critic_loss", "actor_loss", "temperature"):
        assert rows[False][name] == pytest.approx(rows[True][name], rel=1e-4)
