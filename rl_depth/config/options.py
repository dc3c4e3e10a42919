"""Every option of an experiment: its default and unit, and what follows from several of them.

Annotations are evaluated here, not in the module of a subclass: the command line reads them.
"""

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from cyclopts import Group, Parameter

from .errors import ConfigError
from .numbers import whole, whole_or_all
from .specs import RECURRENCE_FORMS, TrainRecurrence, parse_per_seed

NETWORKS = ("actor", "phi", "psi")

BlockKind = Literal["stacked", "looped", "iru"]

# What a trunk that has no choice of it starts from.
_FIRST_LATENT = {"stacked": "input", "iru": "zero"}

_DEFAULT_DEPTH = 8


def _int(group: Group) -> Parameter:
    return Parameter(group=group, converter=whole)


_TASK = Group("Task", sort_key=1)
_NET = Group("Networks", sort_key=2)
_LOOP = Group("Looped trunks", sort_key=3)
_LEARN = Group("Learning", sort_key=4)
_DATA = Group("Collection and replay", sort_key=5)
_LOG = Group("Evaluation and checkpoints", sort_key=6)


@dataclass(frozen=True)
class TrunkConfig:
    """One network's trunk, with nothing left to inherit. Options of loops are neutral in a stacked one."""

    block: BlockKind
    depth: int
    width: int
    block_layers: int = 4
    window: int | None = None  # most applications that gradients flow through; all if None
    norm: str = "inner"
    residual_scale: float = 1.0
    injection: str = "none"
    latent: str = "input"
    step_conditioning: bool = False
    step_limit: float | None = None
    remat: bool = False
    precision: str = "float32"

    @property
    def tied(self) -> bool:
        """Whether all applications share their weights, so that there may be any number of them."""
        return self.block != "stacked"

    @property
    def applications(self) -> int:
        """Block applications in sequence: blocks of a stacked trunk, recurrence count of any other."""
        return self.depth // self.block_layers


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Every option of an experiment with its default, unchecked: see `Config`."""

    env: Annotated[str, Parameter(group=_TASK)] = "point_maze"
    """Environment: a name that `rl-depth envs` lists, or package.module:Class."""
    env_options: Annotated[str | None, Parameter(group=_TASK)] = None
    """Options of the environment as in TOML, such as "size=9, max_size=13" [default: none]."""
    backend: Annotated[str | None, Parameter(group=_TASK)] = None
    """Physics backend [default: the environment's own; on a CPU MuJoCo's C engine where others crawl]."""
    env_steps: Annotated[int, _int(_TASK)] = 160_000
    """Environment steps to train for, per seed; rounded up to whole epochs."""
    seed: Annotated[int, _int(_TASK)] = 0
    """First random seed."""
    seeds: Annotated[int, _int(_TASK)] = 1
    """Agents trained together in one program, with seeds SEED, SEED+1, ..."""

    block: Annotated[BlockKind, Parameter(group=_NET)] = "stacked"
    """Trunk: every block with its own weights, one block's weights applied again and again, or a gated cell applied
    again and again (arXiv 2602.05999)."""
    depth: Annotated[int | None, _int(_NET)] = None
    """Dense layers in sequence in each trunk, a multiple of BLOCK_LAYERS [default: 8; with TRAIN_RECURRENCE its
    mean for a looped block, its largest count for a stacked one]."""
    width: Annotated[int, _int(_NET)] = 64
    """Units of each hidden layer."""
    block_layers: Annotated[int, _int(_NET)] = 4
    """Dense layers in one residual block."""
    representation: Annotated[int, _int(_NET)] = 64
    """Dimensions of phi(s,a) and psi(g)."""
    actor_block: Annotated[BlockKind | None, Parameter(group=_NET)] = None
    """BLOCK of the actor [default: BLOCK]."""
    actor_depth: Annotated[int | None, _int(_NET)] = None
    """DEPTH of the actor [default: DEPTH]."""
    actor_width: Annotated[int | None, _int(_NET)] = None
    """WIDTH of the actor [default: WIDTH]."""
    critic_block: Annotated[BlockKind | None, Parameter(group=_NET)] = None
    """BLOCK of both encoders [default: BLOCK]."""
    critic_depth: Annotated[int | None, _int(_NET)] = None
    """DEPTH of both encoders [default: DEPTH]."""
    critic_width: Annotated[int | None, _int(_NET)] = None
    """WIDTH of both encoders [default: WIDTH]."""
    phi_block: Annotated[BlockKind | None, Parameter(group=_NET)] = None
    """BLOCK of phi(s,a) [default: CRITIC_BLOCK]."""
    phi_depth: Annotated[int | None, _int(_NET)] = None
    """DEPTH of phi(s,a) [default: CRITIC_DEPTH]."""
    phi_width: Annotated[int | None, _int(_NET)] = None
    """WIDTH of phi(s,a) [default: CRITIC_WIDTH]."""
    psi_block: Annotated[BlockKind | None, Parameter(group=_NET)] = None
    """BLOCK of psi(g) [default: CRITIC_BLOCK]."""
    psi_depth: Annotated[int | None, _int(_NET)] = None
    """DEPTH of psi(g) [default: CRITIC_DEPTH]."""
    psi_width: Annotated[int | None, _int(_NET)] = None
    """WIDTH of psi(g) [default: CRITIC_WIDTH]."""
    remat: Annotated[bool, Parameter(group=_NET)] = False
    """Keep few activations and compute the rest anew in the backward pass: less memory, more time."""
    precision: Annotated[Literal["float32", "bfloat16"], Parameter(group=_NET)] = "float32"
    """Of the factors of matrix products in hidden layers and of what is kept of them; parameters, sums and norms are
    float32."""

    norm: Annotated[Literal["inner", "pre", "post"], Parameter(group=_NET)] = "inner"
    """LayerNorm within the residual branch alone, before it as well, or after the addition as well: before eases
    training at depth, after also bounds a loop's latent (Xiong et al. 2020, arXiv 2002.04745)."""
    residual_scale: Annotated[float, Parameter(group=_NET)] = 1.0
    """Factor of the residual branch; below 1 a deep loop moves less per application (De and Smith 2020, arXiv
    2002.10444)."""

    train_recurrence: Annotated[str | None, Parameter(group=_LOOP)] = None
    """Draw the recurrence count anew at each gradient step: fixed:R, uniform:A:B, lognormal-poisson:MEAN[:SIGMA]
    or curriculum:A:B. A stacked trunk then trains with its first blocks only [default: always DEPTH]."""
    recurrence_draw: Annotated[Literal["shared", "per-network"], Parameter(group=_LOOP)] = "shared"
    """One draw for all networks, or one for each of actor, phi and psi."""
    backprop_steps: Annotated[int | Literal["all"], Parameter(group=_LOOP, converter=whole_or_all)] = "all"
    """Last applications that gradients flow through, or all; few make deep draws cheap (8 in Geiping et al. 2025)."""
    progressive: Annotated[float, Parameter(group=_LOOP)] = 0.0
    """Share of gradient steps that start from a random earlier latent (Bansal et al. 2022)."""
    collect_depth: Annotated[int | None, _int(_LOOP)] = None
    """Dense layers that the actor collects data with [default: ACTOR_DEPTH]."""
    injection: Annotated[Literal["add", "concat", "none"], Parameter(group=_LOOP)] = "add"
    """How the trunk's input re-enters at each application: added, concatenated and projected, not at all. Without
    it a loop may forget what it was asked ("recall", Bansal et al. 2022, arXiv 2202.05826)."""
    latent: Annotated[Literal["input", "zero", "learned", "gaussian"], Parameter(group=_LOOP)] = "input"
    """Initial latent: the trunk's input, zero, a learned vector, or noise, which trains path independence (Anil et
    al. 2022, arXiv 2211.09961; Geiping et al. 2025)."""
    step_conditioning: Annotated[bool, Parameter(group=_LOOP)] = False
    """Tell the block the time and the step size of each application, so that counts may differ in how finely they
    go the same way (LoopFormer 2026, arXiv 2602.11451)."""
    step_limit: Annotated[float | None, Parameter(group=_LOOP)] = None
    """Bound of an application's change, relative to the latent's size, so that no loop can run away; a spectral norm
    (Miyato et al. 2018, arXiv 1802.05957) would be undone by LayerNorm [default: none]."""

    algorithm: Annotated[Literal["crl"], Parameter(group=_LEARN)] = "crl"
    """Contrastive RL (Eysenbach et al. 2022)."""
    energy: Annotated[Literal["norm", "dot", "cosine", "l2"], Parameter(group=_LEARN)] = "norm"
    """Similarity of phi and psi: -||phi-psi||, inner product, its cosine, or -||phi-psi||^2."""
    loss: Annotated[Literal["fwd_infonce", "bwd_infonce", "sym_infonce", "binary_nce"], Parameter(group=_LEARN)] = (
        "fwd_infonce"
    )
    """Contrastive loss: goals as negatives, state-actions as negatives, both, or binary."""
    logsumexp_penalty: Annotated[float, Parameter(group=_LEARN)] = 0.1
    """Weight of the squared log-partition in the critic's loss."""
    random_goals: Annotated[float, Parameter(group=_LEARN)] = 1.0
    """Share of the actor's batch with goals of other transitions, as in Eysenbach et al. (2022); the
    critic's batch and Wang et al. (2025) have none."""
    gamma: Annotated[float, Parameter(group=_LEARN)] = 0.98
    """Discount: goals are states a geometric number of steps ahead; 0.99 in Wang et al. (2025)."""
    batch_size: Annotated[int, _int(_LEARN)] = 256
    """Transitions in a gradient step."""
    actor_lr: Annotated[float, Parameter(group=_LEARN)] = 3e-4
    """Adam's learning rate of the actor."""
    critic_lr: Annotated[float, Parameter(group=_LEARN)] = 1e-3
    """Adam's learning rate of both encoders."""
    temperature_lr: Annotated[float, Parameter(group=_LEARN)] = 3e-3
    """Adam's learning rate of the entropy temperature."""
    target_entropy: Annotated[float, Parameter(group=_LEARN)] = -0.5
    """Entropy that the temperature aims for, nats per action dimension."""
    per_seed: Annotated[str | None, Parameter(group=_LEARN)] = None
    """Values that differ between the seeds, one per seed, as in TOML: "actor_lr=[1e-3, 3e-4, 1e-4]"; of actor_lr,
    critic_lr, temperature_lr, gamma, logsumexp_penalty and target_entropy [default: all seeds alike]."""

    num_envs: Annotated[int, _int(_DATA)] = 64
    """Environments stepped in parallel."""
    unroll: Annotated[int, _int(_DATA)] = 50
    """Steps each environment takes between rounds of gradient steps; one such round is an epoch."""
    updates: Annotated[int, _int(_DATA)] = 150
    """Gradient steps per epoch."""
    replay_steps: Annotated[int, _int(_DATA)] = 2_000
    """Steps kept per environment."""
    min_replay_steps: Annotated[int, _int(_DATA)] = 200
    """Steps per environment collected before the first gradient step."""
    collector_depth: Annotated[int | None, _int(_DATA)] = None
    """DEPTH of a second agent that collects all data and learns from it too; the agent itself, the learner, only
    learns from that data and is evaluated [default: the agent collects its own]."""

    evals: Annotated[int, _int(_LOG)] = 10
    """Evaluations over the run, evenly spaced; at most one per epoch."""
    eval_episodes: Annotated[int, _int(_LOG)] = 128
    """Episodes of one evaluation during training."""
    checkpoint_every: Annotated[int, _int(_LOG)] = 1
    """Evaluations between two checkpoints."""
    keep_checkpoints: Annotated[int, _int(_LOG)] = 2
    """Latest checkpoints to keep; an earlier one stands in for a damaged one."""

    def __post_init__(self) -> None:
        if self.depth is None:
            object.__setattr__(self, "depth", self._default_depth())

    def _default_depth(self) -> int:
        law = self.recurrence()
        if law is None:
            return _DEFAULT_DEPTH
        return self.block_layers * (law.largest if self.block == "stacked" else round(law.mean))

    def options_of_env(self) -> dict[str, Any]:
        """``env_options`` as keyword arguments.

        Raises:
          ConfigError: it is not of the form NAME=VALUE, ...
        """
        try:
            return tomllib.loads(f"options = {{{self.env_options or ''}}}")["options"]
        except tomllib.TOMLDecodeError:
            raise ConfigError(
                f"--env-options {self.env_options!r}: must be NAME=VALUE, ..., with text values in quotes"
            ) from None

    def per_seed_values(self) -> dict[str, tuple[float, ...]]:
        """``per_seed`` read: option to its value for each seed, ``[S]``.

        Raises:
          ConfigError: it is not of the form NAME=[VALUE, ...], ...
        """
        try:
            return parse_per_seed(self.per_seed or "")
        except ValueError as error:
            raise ConfigError(f"--per-seed {self.per_seed!r}: {error}") from None

    def of_seed(self, seed: int) -> Self:
        """What the agent of one of the run's seeds was trained with, for whoever asks which seeds are replicates."""
        values = {name: own[seed - self.seed] for name, own in self.per_seed_values().items()}
        return dataclasses.replace(self, per_seed=None, **values) if values else self

    def recurrence(self) -> TrainRecurrence | None:
        """The law of recurrence counts, if they are drawn.

        Raises:
          ConfigError: the text of ``train_recurrence`` is none of its forms.
        """
        if self.train_recurrence is None:
            return None
        try:
            return TrainRecurrence.parse(self.train_recurrence)
        except ValueError as error:
            known = str(error) if RECURRENCE_FORMS in str(error) else f"{error}; forms: {RECURRENCE_FORMS}"
            raise ConfigError(f"--train-recurrence {self.train_recurrence}: {known}") from None

    def trunk(self, network: str) -> TrunkConfig:
        """The trunk of ``"actor"``, ``"phi"`` or ``"psi"`` after inheritance."""
        owners = (network, "critic", "") if network in ("phi", "psi") else (network, "")

        def inherited(option: str) -> Any:
            values = (getattr(self, f"{owner}_{option}" if owner else option) for owner in owners)
            return next(value for value in values if value is not None)

        block, depth = inherited("block"), inherited("depth")
        law, tied, looped = self.recurrence(), block != "stacked", block == "looped"
        window = None if self.backprop_steps == "all" else self.backprop_steps
        if law is not None:
            window = law.largest if window is None else min(window, law.largest)
        return TrunkConfig(
            block=block,
            depth=depth,
            width=inherited("width"),
            block_layers=self.block_layers,
            window=window if tied else None,
            norm="inner" if block == "iru" else self.norm,
            residual_scale=1.0 if block == "iru" else self.residual_scale,
            injection=self.injection if looped else "none",
            latent=self.latent if looped else _FIRST_LATENT[block],
            step_conditioning=self.step_conditioning and looped,
            step_limit=self.step_limit if looped else None,
            remat=self.remat,
            precision=self.precision,
        )

    def collector(self) -> Self | None:
        """The agent that collects the data, if it is not the learner: the same but for the depth of its networks.

        Raises:
          ConfigError: there can be no such agent of this depth.
        """
        if self.collector_depth is None:
            return None
        own = dict.fromkeys(f"{owner}_depth" for owner in ("actor", "critic", "phi", "psi", "collector"))
        return dataclasses.replace(self, depth=self.collector_depth, **own)

    @property
    def epoch_env_steps(self) -> int:
        """Environment steps of one epoch, per seed."""
        return self.num_envs * self.unroll

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return math.ceil(self.env_steps / self.epoch_env_steps)

    @property
    def warmup_epochs(self) -> int:
        """First epochs, which only collect."""
        return math.ceil(self.min_replay_steps / self.unroll) - 1

    def eval_epochs(self) -> tuple[int, ...]:
        """Epochs after which the agents are evaluated; the last one always is."""
        return tuple(sorted({math.ceil(self.epochs * (i + 1) / self.evals) for i in range(self.evals)}))

    def to_dict(self) -> dict[str, Any]:
        """Options that are set, as TOML and JSON can hold them."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
