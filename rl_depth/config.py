"""Every option of an experiment: its default, unit and check. Presets and flags both fill `Config`."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.config import Toml

import envs

PRESETS = Path(__file__).resolve().parent.parent / "configs"

NETWORKS = ("actor", "phi", "psi")

BlockKind = Literal["stacked", "looped"]


class ConfigError(ValueError):
    """A bad option; the message is one line that names the option, its value and what is allowed."""


def _whole(type_: Any, tokens: Sequence[Any]) -> int:
    """Read an integer; Python's and cyclopts' own conversions would round 8.5 down to 8."""
    text = tokens[0].value.replace("_", "")
    try:
        number = float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a whole number") from None
    if whole != number:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text) if text.lstrip("+-").isdigit() else whole


Whole = Annotated[int, Parameter(converter=_whole)]


def _int(group: Group) -> Parameter:
    return Parameter(group=group, converter=_whole)


_TASK = Group("Task", sort_key=1)
_NET = Group("Networks", sort_key=2)
_LOOP = Group("Looped trunks", sort_key=3)
_LEARN = Group("Learning", sort_key=4)
_DATA = Group("Collection and replay", sort_key=5)
_LOG = Group("Evaluation and checkpoints", sort_key=6)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Config:
    """One experiment: a point-maze agent of depth 8 unless told otherwise.

    Raises:
      ConfigError: on construction, if a value or a combination of values is not allowed.
    """

    env: Annotated[str, Parameter(group=_TASK)] = "point_maze"
    """Environment: a name that `rl-depth envs` lists, or package.module:Class."""
    backend: Annotated[str | None, Parameter(group=_TASK)] = None
    """Physics backend [default: the environment's first]."""
    env_steps: Annotated[int, _int(_TASK)] = 160_000
    """Environment steps to train for, per seed; rounded up to whole epochs."""
    seed: Annotated[int, _int(_TASK)] = 0
    """First random seed."""
    seeds: Annotated[int, _int(_TASK)] = 1
    """Agents trained together in one program, with seeds SEED, SEED+1, ..."""

    block: Annotated[BlockKind, Parameter(group=_NET)] = "stacked"
    """Trunk: every block with its own weights, or one block's weights applied again and again."""
    depth: Annotated[int, _int(_NET)] = 8
    """Dense layers in sequence in each trunk; a multiple of BLOCK_LAYERS."""
    width: Annotated[int, _int(_NET)] = 32
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
    """Recompute each block's activations in the backward pass: less memory, more time."""

    injection: Annotated[Literal["add", "concat", "none"], Parameter(group=_LOOP)] = "add"
    """How the trunk's input re-enters at each application: added, concatenated and projected, not at all."""
    energy: Annotated[Literal["norm", "dot", "cosine", "l2"], Parameter(group=_LEARN)] = "norm"
    """Similarity of phi and psi: -||phi-psi||, inner product, its cosine, or -||phi-psi||^2."""
    loss: Annotated[Literal["fwd_infonce", "bwd_infonce", "sym_infonce", "binary_nce"], Parameter(group=_LEARN)] = (
        "fwd_infonce"
    )
    """Contrastive loss: goals as negatives, state-actions as negatives, both, or binary."""
    logsumexp_penalty: Annotated[float, Parameter(group=_LEARN)] = 0.1
    """Weight of the squared log-partition in the critic's loss."""
    random_goals: Annotated[float, Parameter(group=_LEARN)] = 0.5
    """Share of the actor's batch with goals of other transitions, as in Eysenbach et al. (2022); the
    critic's batch and Wang et al. (2025) have none."""
    gamma: Annotated[float, Parameter(group=_LEARN)] = 0.99
    """Discount: goals are states a geometric number of steps ahead."""
    batch_size: Annotated[int, _int(_LEARN)] = 128
    """Transitions in a gradient step."""
    actor_lr: Annotated[float, Parameter(group=_LEARN)] = 1e-3
    """Adam's learning rate of the actor."""
    critic_lr: Annotated[float, Parameter(group=_LEARN)] = 1e-3
    """Adam's learning rate of both encoders."""
    temperature_lr: Annotated[float, Parameter(group=_LEARN)] = 3e-3
    """Adam's learning rate of the entropy temperature."""
    target_entropy: Annotated[float, Parameter(group=_LEARN)] = -0.5
    """Entropy that the temperature aims for, nats per action dimension."""

    num_envs: Annotated[int, _int(_DATA)] = 64
    """Environments stepped in parallel."""
    unroll: Annotated[int, _int(_DATA)] = 50
    """Steps each environment takes between rounds of gradient steps; one such round is an epoch."""
    updates: Annotated[int, _int(_DATA)] = 100
    """Gradient steps per epoch."""
    replay_steps: Annotated[int, _int(_DATA)] = 2_000
    """Steps kept per environment."""
    min_replay_steps: Annotated[int, _int(_DATA)] = 200
    """Steps per environment collected before the first gradient step."""

    evals: Annotated[int, _int(_LOG)] = 10
    """Evaluations over the run, evenly spaced."""
    eval_episodes: Annotated[int, _int(_LOG)] = 128
    """Episodes of one evaluation during training."""
    checkpoint_every: Annotated[int, _int(_LOG)] = 1
    """Evaluations between two checkpoints."""
    keep_checkpoints: Annotated[int, _int(_LOG)] = 2
    """Latest checkpoints to keep; an earlier one stands in for a damaged one."""

    def __post_init__(self) -> None:
        for check in (_check_ranges, _check_trunks, _check_data, _check_env):
            check(self)

    def trunk(self, network: str) -> TrunkConfig:
        """The trunk of ``"actor"``, ``"phi"`` or ``"psi"`` after inheritance."""
        owners = (network, "critic", "") if network in ("phi", "psi") else (network, "")

        def inherited(option: str) -> Any:
            values = (getattr(self, f"{owner}_{option}" if owner else option) for owner in owners)
            return next(value for value in values if value is not None)

        return TrunkConfig(
            block=inherited("block"),
            depth=inherited("depth"),
            width=inherited("width"),
            block_layers=self.block_layers,
            injection=self.injection,
            remat=self.remat,
        )

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


@dataclass(frozen=True)
class TrunkConfig:
    """One network's trunk, with nothing left to inherit."""

    block: BlockKind
    depth: int
    width: int
    block_layers: int
    injection: str
    remat: bool

    @property
    def applications(self) -> int:
        """Block applications in sequence: blocks of a stacked trunk, recurrence count of a looped one."""
        return self.depth // self.block_layers


def option_name(field: str) -> str:
    """The flag of a field: ``batch_size -> --batch-size``."""
    return "--" + field.replace("_", "-")


def _refuse(field: str, value: Any, allowed: str) -> None:
    raise ConfigError(f"{option_name(field)} {value}: {allowed}")


_AT_LEAST_ONE = [
    "env_steps",
    "seeds",
    "width",
    "block_layers",
    "representation",
    "actor_width",
    "critic_width",
    "phi_width",
    "psi_width",
    "batch_size",
    "num_envs",
    "unroll",
    "updates",
    "replay_steps",
    "min_replay_steps",
    "evals",
    "eval_episodes",
    "checkpoint_every",
    "keep_checkpoints",
]
_POSITIVE = ["actor_lr", "critic_lr", "temperature_lr"]


def _check_ranges(config: Config) -> None:
    for field in _AT_LEAST_ONE:
        value = getattr(config, field)
        if value is not None and value < 1:
            _refuse(field, value, "must be at least 1")
    for field in _POSITIVE:
        value = getattr(config, field)
        if not 0 < value < math.inf:
            _refuse(field, value, "must be positive and finite")
    checks = {
        "seed": (0 <= config.seed < 2**31, "must lie in [0, 2^31)"),
        "seeds": (config.seed + config.seeds <= 2**31, "the last seed must lie below 2^31"),
        "logsumexp_penalty": (0 <= config.logsumexp_penalty < math.inf, "must be finite and not negative"),
        "random_goals": (0 <= config.random_goals <= 1, "must lie between 0 and 1"),
        "gamma": (0 < config.gamma < 1, "must lie strictly between 0 and 1"),
        "target_entropy": (math.isfinite(config.target_entropy), "must be finite"),
        "evals": (
            config.evals <= config.epochs,
            f"the run has only {config.epochs} epochs of {config.epoch_env_steps} environment steps",
        ),
    }
    for field, (good, allowed) in checks.items():
        if not good:
            _refuse(field, getattr(config, field), allowed)


def _check_trunks(config: Config) -> None:
    layers = config.block_layers
    for field in ("depth", "actor_depth", "critic_depth", "phi_depth", "psi_depth"):
        depth = getattr(config, field)
        if depth is None or (depth >= layers and depth % layers == 0):
            continue
        below = depth // layers * layers
        nearest = [str(d) for d in (below, below + layers) if d >= layers] or [str(layers)]
        _refuse(
            field,
            depth,
            f"must be a positive multiple of --block-layers {layers}; nearest: {' or '.join(nearest)}",
        )
    for option in ("block", "depth", "width"):
        given = [getattr(config, f"{owner}_{option}") is not None for owner in ("critic", "phi", "psi")]
        if all(given):
            value = getattr(config, f"critic_{option}")
            _refuse(f"critic_{option}", value, f"has no effect beside --phi-{option} and --psi-{option}; drop one")
    looped = any(config.trunk(network).block == "looped" for network in NETWORKS)
    default = Config.__dataclass_fields__["injection"].default
    if not looped and config.injection != default:
        _refuse("injection", config.injection, "only a looped trunk injects its input; add --block looped")


def _check_data(config: Config) -> None:
    if config.min_replay_steps > config.replay_steps:
        _refuse(
            "min_replay_steps",
            config.min_replay_steps,
            f"exceeds --replay-steps {config.replay_steps}: never reached",
        )
    if config.unroll > config.replay_steps:
        _refuse("unroll", config.unroll, f"exceeds --replay-steps {config.replay_steps}")
    # A goal lies ahead in the same episode, so the newest step of each environment is never trained on.
    first = (config.warmup_epochs + 1) * config.unroll
    ready = config.num_envs * (min(first, config.replay_steps) - 1)
    if config.batch_size > ready:
        _refuse(
            "batch_size",
            config.batch_size,
            f"the replay buffer holds at most {ready} transitions with a future at the first gradient step; "
            "lower it or raise --num-envs, --unroll or --min-replay-steps",
        )
    if config.batch_size < 2:
        _refuse("batch_size", config.batch_size, "a contrastive batch needs at least 2 transitions")
    if config.epochs <= config.warmup_epochs:
        _refuse(
            "env_steps",
            config.env_steps,
            f"ends before the first gradient step, at {(config.warmup_epochs + 1) * config.epoch_env_steps} steps",
        )


def _check_env(config: Config) -> None:
    try:
        envs.check_name(config.env)
    except ValueError as error:
        raise ConfigError(f"--env: {error}") from None


def find_preset(name: str) -> Path:
    """The file of a preset: a path to a TOML file, or the name of one that ships with the package.

    Raises:
      ConfigError: no such preset; names the nearest.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        if not path.is_file():
            raise ConfigError(f"preset {name}: no such file")
        return path
    known = {file.stem: file for file in sorted(PRESETS.glob("*.toml"))}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
    raise ConfigError(f"preset {name!r}: no such preset or .toml file; there are {', '.join(near)}")


def load(path: Path, flags: Sequence[str] = ()) -> Config:
    """Read a configuration from TOML, with command-line flags on top.

    Raises:
      ConfigError: unreadable file, unknown key, or a value that is not allowed, naming file and key.
    """
    app = App(config=preset_source(path), result_action="return_value")

    @app.default
    def read(*, config: Config = Config()) -> Config:
        return config

    try:
        return app(list(flags), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(explain(error, path)) from None


def preset_source(path: Path) -> Toml:
    """Where cyclopts reads options from that no flag gave.

    Raises:
      ConfigError: the file cannot be read, is not TOML, or has a key that is no option.
    """
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot be read (not UTF-8 text)") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for key in keys:
        if key not in Config.__dataclass_fields__:
            near = difflib.get_close_matches(key, Config.__dataclass_fields__, n=3, cutoff=0.4)
            hint = f"; nearest: {', '.join(near)}" if near else "; `rl-depth train --help` lists all"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
    return Toml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)


def explain(error: CycloptsError, preset: Path | None = None) -> str:
    """One line that says what was wrong with the options, and in which file if it was one."""
    text = " ".join(str(error).split())
    from_file = re.search(r"\[\w+\]", text) is not None and preset is not None
    return f"{preset}: {text}" if from_file and str(preset) not in text else text
