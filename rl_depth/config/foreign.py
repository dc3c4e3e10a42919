"""Options of the method's two reference codebases, and what they are here.

The refusal of an unknown option names ours, and docs/coming_from.md is printed from the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Codebase = Literal["JaxGCRL", "scaling-crl", "both"]


@dataclass(frozen=True)
class Foreign:
    """An option of another codebase.

    Attributes:
      name: with hyphens, without the leading ones.
      source: who has it.
      ours: what to write instead, with its flag; None if there is nothing of the kind.
      note: what differs, or why there is none.
    """

    name: str
    source: Codebase
    ours: str | None
    note: str = ""

    @property
    def advice(self) -> str:
        """What to write instead, in one line."""
        if self.ours is None:
            return self.note
        return f"here it is {self.ours}" + (f" ({self.note})" if self.note else "")


TABLE = (
    Foreign("env-id", "scaling-crl", "--env", "`rl-depth envs` lists them"),
    Foreign("eval-env", "JaxGCRL", "--eval-split", "goals of evaluation are a split of the environment"),
    Foreign(
        "eval-env-id", "scaling-crl", "--eval-split", "goals of training and evaluation are splits of one environment"
    ),
    Foreign("total-env-steps", "both", "--env-steps", "per seed"),
    Foreign("num-evals", "JaxGCRL", "--evals"),
    Foreign("num-epochs", "scaling-crl", "--evals", "an epoch here is one round of gradient steps"),
    Foreign("num-eval-envs", "both", "--eval-episodes"),
    Foreign("max-replay-size", "both", "--replay-steps", "steps per environment"),
    Foreign("min-replay-size", "both", "--min-replay-steps", "steps per environment"),
    Foreign("unroll-length", "both", "--unroll"),
    Foreign("train-step-multiplier", "JaxGCRL", "--updates", "gradient steps per epoch, given as a number"),
    Foreign("training-steps-multiplier", "scaling-crl", "--updates", "gradient steps per epoch, given as a number"),
    Foreign("num-sgd-batches-per-training-step", "scaling-crl", "--updates", "gradient steps per epoch"),
    Foreign("use-all-batches", "scaling-crl", "--updates", "gradient steps per epoch, given as a number"),
    Foreign("num-episodes-per-env", "scaling-crl", None, "batches are drawn from the whole replay buffer"),
    Foreign("policy-lr", "JaxGCRL", "--actor-lr"),
    Foreign("alpha-lr", "both", "--temperature-lr"),
    Foreign("entropy-param", "scaling-crl", "--target-entropy", "with the opposite sign: 0.5 there is -0.5 here"),
    Foreign("disable-entropy", "scaling-crl", None, "the entropy bonus cannot be switched off; see --target-entropy"),
    Foreign("disable-entropy-actor", "JaxGCRL", None, "the entropy bonus cannot be switched off; see --target-entropy"),
    Foreign("discounting", "JaxGCRL", "--gamma"),
    Foreign("logsumexp-penalty-coeff", "both", "--logsumexp-penalty"),
    Foreign("contrastive-loss-fn", "JaxGCRL", "--loss", "of the same names"),
    Foreign("energy-fn", "JaxGCRL", "--energy", "of the same names"),
    Foreign("repr-dim", "JaxGCRL", "--representation"),
    Foreign("h-dim", "JaxGCRL", "--width"),
    Foreign("actor-network-width", "scaling-crl", "--actor-width"),
    Foreign("critic-network-width", "scaling-crl", "--critic-width"),
    Foreign("n-hidden", "JaxGCRL", "--depth", "N_HIDDEN counts the input layer: depth is N_HIDDEN - 1"),
    Foreign("skip-connections", "JaxGCRL", "--block-layers", "dense layers of one residual block; there is always one"),
    Foreign("actor-skip-connections", "scaling-crl", "--block-layers", "there it is read but never used"),
    Foreign("critic-skip-connections", "scaling-crl", "--block-layers", "there it is read but never used"),
    Foreign("use-ln", "JaxGCRL", None, "LayerNorm is always on; --norm says where"),
    Foreign("use-relu", "both", None, "the activation is always swish"),
    Foreign(
        "eval-actor",
        "scaling-crl",
        None,
        "`rl-depth evaluate --stochastic` draws actions",
    ),
    Foreign("expl-actor", "scaling-crl", None, "data is collected with drawn actions"),
    Foreign("action-repeat", "JaxGCRL", None, "every action lasts one step"),
    Foreign("exp-name", "both", "--out", "the run folder"),
    Foreign("checkpoint-logdir", "JaxGCRL", "--out", "the run folder"),
    Foreign("checkpoint", "scaling-crl", "--checkpoint-every", "checkpoints are always written"),
    Foreign("save-buffer", "scaling-crl", None, "checkpoints hold what resuming needs"),
    Foreign("log-wandb", "JaxGCRL", "--wandb PROJECT"),
    Foreign("track", "scaling-crl", "--wandb PROJECT"),
    Foreign("wandb-project-name", "both", "--wandb PROJECT"),
    Foreign("wandb-group", "both", "--wandb PROJECT", "the seeds of a run are a group"),
    Foreign("wandb-dir", "scaling-crl", "--wandb PROJECT", "its files are kept in the run folder"),
    Foreign("visualization-interval", "JaxGCRL", None, "`rl-depth render RUN` makes videos after training"),
    Foreign("vis-length", "both", None, "`rl-depth render RUN` makes videos after training"),
    Foreign("capture-vis", "scaling-crl", None, "`rl-depth render RUN` makes videos after training"),
    Foreign("num-render", "scaling-crl", None, "`rl-depth render RUN --episodes N` makes videos after training"),
    Foreign("max-devices-per-host", "JaxGCRL", "--devices"),
    Foreign("cuda", "both", None, "JAX takes the GPU that it finds; JAX_PLATFORMS=cpu keeps it from that"),
    Foreign("torch-deterministic", "scaling-crl", None, "runs are always deterministic"),
    Foreign("goal-proposal-prob", "JaxGCRL", None, "data is collected with the environment's own goals"),
)

_BY_NAME = {one.name: one for one in TABLE}


def advice(word: str) -> str | None:
    """What an unknown option is here, if it is one of theirs.

    Args:
      word: a flag or a key of a file, with hyphens or underscores, as they write it: ``--agent.policy-lr`` too.
    """
    name = word.lstrip("-").replace("_", "-").rpartition(".")[2]
    one = _BY_NAME.get(name) or _BY_NAME.get(name.removeprefix("no-"))
    return f"of {one.source.replace('both', 'JaxGCRL and scaling-crl')}; {one.advice}" if one is not None else None


def page_table() -> str:
    """The table in Markdown, for docs/coming_from.md."""
    lines = ["| theirs | of | here | |", "| --- | --- | --- | --- |"]
    for one in TABLE:
        ours = f"`{one.ours}`" if one.ours is not None else "nothing"
        lines.append(f"| `--{one.name}` | {one.source} | {ours} | {one.note} |")
    return "\n".join(lines)
