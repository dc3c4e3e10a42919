"""A table in Markdown of which runs survived their gradient steps, and of what their critics know by then.

`rl-depth sweep survival`, then `python examples/survival.py runs/sweep/survival`; of any folder with runs in it. A seed
is lost once a loss or a parameter of it is not finite. InfoNCE is that of the last evaluation, in nats, a mean over the
seeds that survived: log(batch size) is what a critic has that knows nothing.
"""

import math
import sys
from pathlib import Path

from rl_depth import runs
from rl_depth.config import Config

COLUMNS = ("depth", "norm", "residual scale", "precision", "grad steps", "survived", "InfoNCE", "of", "accuracy")


def row(run: runs.Run) -> tuple[str, ...]:
    """What the table says of a run, in the order of the columns."""
    config, status = run.config(), run.status()
    lost = status.get("diverged", {})
    ends = [one for one in run.metrics() if str(one["seed"]) not in lost and one["epoch"] == status["epoch"]]
    means = [_mean([one[name] for one in ends]) for name in ("infonce", "categorical_accuracy")]
    measured = (f"{means[0]:.2f}", f"{math.log(config.batch_size):.2f}", f"{means[1]:.2f}")
    setting = (str(config.depth), config.norm, _scale(config), config.precision)
    return *setting, f"{status['grad_steps']:,}", f"{config.seeds - len(lost)} of {config.seeds}", *measured


def _scale(config: Config) -> str:
    return config.residual_scale if isinstance(config.residual_scale, str) else f"{config.residual_scale:g}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/survival.py FOLDER")
    found = [run for run in runs.find_runs(Path(sys.argv[1])) if run.status()]
    if not found:
        raise SystemExit(f"{sys.argv[1]}: holds no run that began")
    lines = sorted((run.config().depth, row(run)) for run in found)
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for _, cells in lines:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
