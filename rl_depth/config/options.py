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
from .numbers import whole, whole_or_word
from .specs import RECURRENCE_FORMS, TrainRecurrence, parse_per_seed, parse_transition
from .supervision import NoiseBound, NoiseKind, SuperviseKind, Supervision
from .trunk import BlockKind, TrunkConfig, turn_calls

NETWORKS = ("actor", "phi", "psi")

# What a trunk that has no choice of it starts from.
_FIRST_LATENT = {"stacked": "input", "iru": "zero"}

_DEFAULT_DEPTH = 8


def _int(group: Group) -> Parameter:
    return Parameter(group=group, converter=whole)


_TASK = Group("Task", sort_key=1)
_NET = Group("Networks", sort_key=2)
_LOOP = Group("Looped trunks", sort_key=3)
_SEGMENT = Group("Supervision along the trunk", sort_key=4)
_LEARN = Group("Learning", sort_key=5)
_DATA = Group("Collection and replay", sort_key=6)
_LOG = Group("Evaluation and checkpoints", sort_key=7)


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
    episode_length: Annotated[int | None, _int(_TASK)] = None
    """Steps after which an episode is cut, in training and evaluation [default: the environment's]."""
    env_steps: Annotated[int, _int(_TASK)] = 160_000
    """Environment steps to train for, per seed; rounded up to whole epochs."""
    seed: Annotated[int, _int(_TASK)] = 0
    """First random seed."""
    seeds: Annotated[int, _int(_TASK)] = 1
    """Agents trained together in one program, with seeds SEED, SEED+1, ..."""

    block: Annotated[BlockKind, Parameter(group=_NET)] = "stacked"
    """Trunk: every block with its own weights, one block's weights applied again and again, a slow and a fast latent
    in turns (HRM, arXiv 2506.21734; TRM, arXiv 2510.04871), or a gated cell applied again and again (arXiv
    2602.05999)."""
    depth: Annotated[int | None, _int(_NET)] = None
    """Dense layers in sequence in each trunk, a multiple of BLOCK_LAYERS, times ROUNDS * (FAST_STEPS + 1) for a
    two-level block [default: 8; with TRAIN_RECURRENCE its mean for a looped block, its largest count for a stacked
    one]."""
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
    residual_scale: Annotated[float | Literal["learned"], Parameter(group=_NET)] = 1.0
    """Factor of the residual branch; below 1 a deep loop moves less per application (De and Smith 2020, arXiv
    2002.10444). Or learned, one for each block, from 1 (fixed-point reasoners, arXiv 2606.18206)."""

    noise_transition: Annotated[str | None, Parameter(group=_NET)] = None
    """Noise that the actor's trunk adds to its latent after each application when actions are drawn, relative to the
    latent's size: learned, with a mean (GRAM, arXiv 2605.19376), or fixed:SIGMA [default: none]."""
    noise_objective: Annotated[NoiseKind, Parameter(group=_NET)] = "none"
    """What trains that noise besides the actor's loss: nothing, or a bound on how likely actions of the replay are,
    with noise from a posterior that sees the action taken, or a place on the way to its goal."""
    noise_weight: Annotated[float, Parameter(group=_NET)] = 1.0
    """Weight of that bound."""
    noise_kl: Annotated[float, Parameter(group=_NET)] = 0.1
    """Weight in it of the divergence of the posterior from the noise, in nats of the whole latent."""

    train_recurrence: Annotated[str | None, Parameter(group=_LOOP)] = None
    """Draw the recurrence count anew at each gradient step: fixed:R, uniform:A:B, lognormal-poisson:MEAN[:SIGMA]
    or curriculum:A:B. A stacked trunk then trains with its first blocks only [default: always DEPTH]."""
    recurrence_draw: Annotated[Literal["shared", "per-network"], Parameter(group=_LOOP)] = "shared"
    """One draw for all networks, or one for each of actor, phi and psi."""
    backprop_steps: Annotated[int | Literal["all", "one-step"], Parameter(group=_LOOP, converter=whole_or_word)] = "all"
    """Last applications (of each segment, with SUPERVISE=all) that gradients flow through, or all; few make deep draws
    cheap (8 in Geiping et al. 2025). With one-step, the last call of each level's block alone (HRM)."""
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
    fast_steps: Annotated[int, _int(_LOOP)] = 1
    """Fast steps before each slow one in a two-level block; with 0 the fast latent stays the input, and one tied level
    is a looped block."""
    rounds: Annotated[int, _int(_LOOP)] = 1
    """Rounds of fast steps and a slow one in one application of a two-level block."""
    tie_levels: Annotated[bool, Parameter(group=_LOOP)] = False
    """One block for both levels (TRM), rather than one each (HRM)."""
    feedback: Annotated[bool, Parameter(group=_LOOP)] = False
    """Add a two-level network's last output, through a layer that is zero at first, to the input of its next
    application (TRM)."""

    supervise: Annotated[SuperviseKind, Parameter(group=_SEGMENT)] = "last"
    """Where the losses stand: at the end of the trunk, at the end of one of SEGMENTS drawn at each gradient step, or at
    the end of each, which starts from the latent of the one before without its gradients (deep supervision, HRM)."""
    segments: Annotated[int | None, _int(_SEGMENT)] = None
    """Segments of equally many applications that each trunk is parted into [default: none]."""
    segment_weights: Annotated[Literal["equal", "late"], Parameter(group=_SEGMENT)] = "equal"
    """Weights of the segments' losses: all alike, or in proportion to the segment's number."""
    actor_segments: Annotated[Literal["drawn", "all"], Parameter(group=_SEGMENT)] = "drawn"
    """With SUPERVISE=all, the actor's loss at one segment drawn at each gradient step, or at all of them, dearly."""
    cross_depth: Annotated[bool, Parameter(group=_SEGMENT)] = False
    """With SUPERVISE=all, contrast phi at one drawn segment with psi at another too: the same answer at any depth."""
    consistency: Annotated[float, Parameter(group=_SEGMENT)] = 0.0
    """With SUPERVISE=all, weight of the squared distance, in each network, of what the head reads at a drawn segment
    from what it reads at the last one, both normalised, the latter held (LoopFormer 2026)."""
    segment_horizon: Annotated[float | None, Parameter(group=_SEGMENT)] = None
    """C: segment s is supervised with goals of its own, drawn with gamma 1 - 1 / (C s) in place of GAMMA, so that depth
    buys horizon; the actor's goals are its segment's, or the last one's with SUPERVISE=all [default: none]."""
    halting_head: Annotated[bool, Parameter(group=_SEGMENT)] = False
    """Learn when to stop, beside the rest: the actor, what the energy would still gain by going on from a drawn segment
    to the last (for `evaluate --halt learned:EPS`); phi, whether the positive is ranked first."""

    algorithm: Annotated[Literal["crl"], Parameter(group=_LEARN)] = "crl"
    """Contrastive RL (Eysenbach et al. 2022)."""
    energy: Annotated[Literal["norm", "dot", "cosine", "l2"], Parameter(group=_LEARN)] = "norm"
    """Similarity of phi and psi: -||phi-psi||, inner product, its cosine, or -||phi-psi||^2."""
    logit_scale: Annotated[float | Literal["learned"], Parameter(group=_LEARN)] = 1.0
    """Factor of the cosine energy, whose bounds otherwise leave at least log(1 + (B - 1) / e^2) nats of the loss of a
    batch of B, 3.6 of 256. Or learned, from 1 / 0.07 and up to 100 (CLIP, arXiv 2103.00020)."""
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
    squash_epsilon: Annotated[float | None, Parameter(group=_LEARN)] = None
    """Added to 1 - tanh(u)^2 under the logarithm of an action's density, 1e-6 in JaxGCRL [default: the exact
    density]."""
    ema: Annotated[float | None, Parameter(group=_LEARN)] = None
    """Decay per gradient step of an average of the parameters, which acts and is measured in evaluation; data is
    collected without it (0.999 in TRM) [default: none]."""
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
    final_goals: Annotated[bool, Parameter(group=_DATA)] = False
    """Keep the state that each action led to as a goal too, so that the one after an episode's last action can be one,
    which matters where episodes are short or end on success."""
    collector_depth: Annotated[int | None, _int(_DATA)] = None
    """DEPTH of a second agent that collects all data and learns from it too; the agent itself, the learner, only
    learns from that data and is evaluated [default: the agent collects its own]."""

    evals: Annotated[int, _int(_LOG)] = 10
    """Evaluations over the run, evenly spaced; at most one per epoch."""
    eval_episodes: Annotated[int, _int(_LOG)] = 128
    """Episodes of one evaluation during training."""
    eval_split: Annotated[str | None, Parameter(group=_LOG)] = None
    """Starts and goals that agents are evaluated on, such as train [default: the environment's evaluation goals]."""
    checkpoint_every: Annotated[int, _int(_LOG)] = 1
    """Evaluations between two checkpoints."""
    keep_checkpoints: Annotated[int, _int(_LOG)] = 2
    """Latest checkpoints to keep; an earlier one stands in for a damaged one."""
    keep_best: Annotated[str | None, Parameter(group=_LOG)] = None
    """Keep each seed's best parameters by this metric of its evaluations too, such as success_any [default: the
    latest alone]."""
    checkpoint_replay: Annotated[Literal["on", "off"], Parameter(group=_LOG)] = "on"
    """Save the replay buffer with checkpoints. Off takes far less room on the disk, but a run that is resumed fills
    it anew and no longer ends bit for bit like one that was left alone."""

    def __post_init__(self) -> None:
        if self.depth is None:
            object.__setattr__(self, "depth", self._default_depth())

    def _default_depth(self) -> int:
        law = self.recurrence()
        turn = max(self.block_layers * turn_calls(self.block, self.rounds, self.fast_steps), 1)
        if law is None:
            return turn * max(round(_DEFAULT_DEPTH / turn), 1) if self.block == "two-level" else _DEFAULT_DEPTH
        return turn * (law.largest if self.block == "stacked" else round(law.mean))

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

    def transition(self) -> float | Literal["learned"] | None:
        """Standard deviation of the noise in the actor's transitions, or that it is learned, if there is any.

        Raises:
          ConfigError: the text of ``noise_transition`` is none of its forms.
        """
        if self.noise_transition is None:
            return None
        try:
            return parse_transition(self.noise_transition)
        except ValueError as error:
            raise ConfigError(f"--noise-transition {self.noise_transition}: {error}") from None

    def noise_bound(self) -> NoiseBound | None:
        """The bound that trains the noise, if there is any."""
        if self.noise_objective == "none":
            return None
        return NoiseBound(self.noise_objective, self.noise_weight, self.noise_kl)

    def supervision(self) -> Supervision:
        """Where along the trunks the losses stand."""
        return Supervision(
            kind=self.supervise,
            segments=self.segments or 1,
            late=self.segment_weights == "late",
            actor_all=self.actor_segments == "all",
            cross_depth=self.cross_depth,
            consistency=self.consistency,
            horizon=self.segment_horizon,
            halting=self.halting_head,
        )

    def source(self, network: str, option: str) -> str:
        """The field that gives a network its ``"block"``, ``"depth"`` or ``"width"``."""
        owners = (network, "critic") if network in ("phi", "psi") else (network,)
        fields = (f"{owner}_{option}" for owner in owners)
        return next((field for field in fields if getattr(self, field) is not None), option)

    def trunk(self, network: str) -> TrunkConfig:
        """The trunk of ``"actor"``, ``"phi"`` or ``"psi"`` after inheritance."""

        def inherited(option: str) -> Any:
            return getattr(self, self.source(network, option))

        block, depth = inherited("block"), inherited("depth")
        law, tied, looped = self.recurrence(), block != "stacked", block in ("looped", "two-level")
        levels = {name: getattr(self, name) for name in ("fast_steps", "rounds", "tie_levels", "feedback")}
        steps = self.backprop_steps
        window = steps if isinstance(steps, int) else {"all": None, "one-step": 1}[steps]
        if law is not None:
            window = law.largest if window is None else min(window, law.largest)
        return TrunkConfig(
            block=block,
            depth=depth,
            width=inherited("width"),
            block_layers=self.block_layers,
            window=window if tied else None,
            one_step=self.backprop_steps == "one-step" and block == "two-level",
            norm="inner" if block == "iru" else self.norm,
            residual_scale=1.0 if block == "iru" else self.residual_scale,
            injection=self.injection if looped else "none",
            latent=self.latent if looped else _FIRST_LATENT[block],
            step_conditioning=self.step_conditioning and looped,
            step_limit=self.step_limit if looped else None,
            remat=self.remat,
            precision=self.precision,
            noise=self.transition() if network == "actor" else None,
            **(levels if block == "two-level" else {}),
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
    def goal_gamma(self) -> float:
        """Discount of the goals at the agent's own depth: of all goals, or of the last segment's."""
        return self.gamma if self.segment_horizon is None else self.supervision().gammas()[-1]

    @property
    def epoch_env_steps(self) -> int:
        """Environment steps of one epoch, per seed."""
        return self.num_envs * self.unroll

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return -(-self.env_steps // self.epoch_env_steps)

    @property
    def warmup_epochs(self) -> int:
        """First epochs, which only collect."""
        return math.ceil(self.min_replay_steps / self.unroll) - 1

    def eval_epochs(self) -> tuple[int, ...]:
        """Epochs after which the agents are evaluated; the last one always is."""
        evals = min(self.evals, self.epochs)  # one per epoch is the most there can be
        return tuple(-(-self.epochs * (i + 1) // evals) for i in range(evals))

    def to_dict(self) -> dict[str, Any]:
        """Options that are set, as TOML and JSON can hold them."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
