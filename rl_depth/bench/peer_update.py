"""Times one update of PyPI's ``jaxgcrl``, under the Python it is installed in: ``PYTHON peer_update.py 64 256 256 5``.

A script, which imports nothing of this package: `bench` runs it and reads the line of JSON it prints.

Of ``jaxgcrl`` (Bortkiewicz et al. 2025, arXiv 2408.11052; seen: 0.2.5 and 0.2.8) it takes the `Encoder` and `Actor` of
``agents/crl/networks.py`` and the `update_actor_and_alpha` and `update_critic` of ``agents/crl/losses.py``. The two
files are loaded alone: the package as a whole imports simulators and plotting, which would count against its start, and
modules that later versions of Brax lack. What ``jaxgcrl`` writes inside its training function, and so cannot be
imported, is composed here as there: the training state, three Adams, and the order of the two updates. Metrics are
dropped, as `bench` drops ours.

The networks are those of Wang et al. 2025 (arXiv 2503.14858): an input layer, ``depth / 4`` residual units of four
[Dense, LayerNorm, swish], a linear head. ``jaxgcrl`` has them at ``network_depth = depth + 1``, with
``skip_connections = 4`` and ``use_ln`` (its own training function leaves the actor without LayerNorm). Shapes are those
of the ant. Axes: ``N`` updates in one call, ``B`` batch, ``X`` state, ``G`` goal, ``A`` action.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

_SCRIPT_START = time.perf_counter()

PEER = "jaxgcrl"
STATE, ACTION, GOAL = 29, 8, 2
REPRESENTATION = 64
BLOCK_LAYERS = 4
LEARNING_RATE = 3e-4
UPDATES = 4

# The defaults of the peer's `CRL`, and what its training function adds to them.
SETTINGS: dict[str, Any] = {
    "state_size": STATE,
    "goal_indices": (0, 1),
    "target_entropy": -0.5 * ACTION,
    "energy_fn": "norm",
    "contrastive_loss_fn": "fwd_infonce",
    "logsumexp_penalty_coeff": 0.1,
}

# What is called of each file of the peer, with the names of the parameters.
LAYOUT = {
    "networks": {
        "Encoder": ("repr_dim", "network_width", "network_depth", "skip_connections", "use_relu", "use_ln"),
        "Actor": ("action_size", "network_width", "network_depth", "skip_connections", "use_relu", "use_ln"),
    },
    "losses": {
        "update_actor_and_alpha": ("config", "networks", "transitions", "training_state", "key"),
        "update_critic": ("config", "networks", "transitions", "training_state", "key"),
    },
}


class PeerError(RuntimeError):
    """The peer cannot be timed in this environment."""


def main(arguments: list[str]) -> int:
    """Prints the line of JSON; returns the exit code: 0, 1 if the peer cannot be timed, 2 for a bad argument."""
    names = ("DEPTH", "WIDTH", "BATCH", "REPEATS")
    if len(arguments) != len(names) or not all(a.isdecimal() and int(a) > 0 for a in arguments):
        return _fail(f"peer_update.py takes {' '.join(names)}, positive integers; got {' '.join(arguments)!r}", 2)
    depth, width, batch, repeats = map(int, arguments)
    if depth % BLOCK_LAYERS:
        return _fail(f"DEPTH is {depth}; it must be a multiple of {BLOCK_LAYERS}, the layers of a residual unit", 2)
    _drop_own_folder()
    try:
        report = time_update(depth, width, batch, repeats)
    except PeerError as error:
        return _fail(str(error), 1)
    print(json.dumps(report))
    return 0


def time_update(depth: int, width: int, batch: int, repeats: int) -> dict[str, Any]:
    """Times of the peer's update, in seconds.

    ``init_s`` parameters and optimizer states; ``lower_s`` and ``compile_s`` the program of ``UPDATES`` updates;
    ``update_s`` one update, for each of ``repeats`` calls of that program after the first; ``start_s`` from the start
    of the process to the end of the first update, for which a quarter of the first call is taken.

    Raises `PeerError` where ``jaxgcrl``, or something it needs, is missing or has another layout.
    """
    networks, losses = (load(name) for name in LAYOUT)
    jax = _needed("jax")
    # As the peer, which has no persistent cache of its own; a folder may be inherited from who runs this.
    jax.config.update("jax_enable_compilation_cache", False)

    modules = make_networks(networks, depth, width)
    begin = time.perf_counter()
    state = jax.block_until_ready(make_state(modules))
    initialised = time.perf_counter()

    key, transitions = jax.random.PRNGKey(1), jax.device_put(make_transitions(batch))
    program = make_program(losses, modules)
    before = time.perf_counter()
    lowered = _lower(jax.jit(program, donate_argnums=0), state, key, transitions)
    between = time.perf_counter()
    compiled = lowered.compile()
    after = time.perf_counter()
    start = process_seconds()

    calls = []
    for _ in range(1 + repeats):
        called = time.perf_counter()
        state, key = jax.block_until_ready(compiled(state, key, transitions))
        calls.append(time.perf_counter() - called)
    return {
        "version": _version(),
        "init_s": initialised - begin,
        "lower_s": between - before,
        "compile_s": after - between,
        "update_s": [call / UPDATES for call in calls[1:]],
        "start_s": start + calls[0] / UPDATES,
        "networks": _description(depth, width, state),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def load(name: str) -> ModuleType:
    """``jaxgcrl/agents/crl/NAME.py`` by itself, checked against `LAYOUT`."""
    package = importlib.util.find_spec(PEER)
    if package is None or not package.submodule_search_locations:
        raise PeerError(f"{PEER} is not installed for {sys.executable}")
    file = Path(package.submodule_search_locations[0], "agents", "crl", f"{name}.py")
    if not file.is_file():
        raise PeerError(f"{PEER} {_version()} has another layout: it has no agents/crl/{name}.py")
    spec = importlib.util.spec_from_file_location(f"{PEER}_{name}", file)
    assert spec is not None and spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever importing JAX and Flax may raise, such as versions that do not agree
        raise PeerError(f"{PEER}'s agents/crl/{name}.py does not import: {_first_line(error)}") from error
    for attribute, parameters in LAYOUT[name].items():
        lacking = set(parameters) - _parameters(getattr(module, attribute, None))
        if lacking:
            known = hasattr(module, attribute)
            what = f"{attribute} takes no {', '.join(sorted(lacking))}" if known else f"no {attribute}"
            raise PeerError(f"{PEER} {_version()} has another layout: agents/crl/{name}.py: {what}")
    return module


def make_networks(networks: ModuleType, depth: int, width: int) -> dict[str, Any]:
    """The peer's modules, by the names its losses know them by."""
    trunk = {
        "network_width": width,
        "network_depth": depth + 1,
        "skip_connections": BLOCK_LAYERS,
        "use_relu": False,
        "use_ln": True,
    }
    return {
        "actor": networks.Actor(action_size=ACTION, **trunk),
        "sa_encoder": networks.Encoder(repr_dim=REPRESENTATION, **trunk),
        "g_encoder": networks.Encoder(repr_dim=REPRESENTATION, **trunk),
    }


def make_state(modules: dict[str, Any]) -> Any:
    """The peer's training state, made as it makes it: parameters drawn outside of any compiled function."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    struct, optax = _needed("flax.struct"), _needed("optax")
    train_state = _needed("flax.training.train_state").TrainState

    @struct.dataclass
    class TrainingState:
        """As in the peer's ``agents/crl/crl.py``."""

        env_steps: jax.Array
        gradient_steps: jax.Array
        actor_state: Any
        critic_state: Any
        alpha_state: Any

    def with_adam(params: Any) -> Any:
        return train_state.create(apply_fn=None, params=params, tx=optax.adam(learning_rate=LEARNING_RATE))

    actor_key, sa_key, g_key = jax.random.split(jax.random.PRNGKey(0), 3)
    return TrainingState(
        env_steps=jnp.zeros(()),
        gradient_steps=jnp.zeros(()),
        actor_state=with_adam(modules["actor"].init(actor_key, np.ones([1, STATE + GOAL]))),
        critic_state=with_adam(
            {
                "sa_encoder": modules["sa_encoder"].init(sa_key, np.ones([1, STATE + ACTION])),
                "g_encoder": modules["g_encoder"].init(g_key, np.ones([1, GOAL])),
            }
        ),
        alpha_state=with_adam({"log_alpha": jnp.asarray(0.0, dtype=jnp.float32)}),
    )


def make_transitions(batch: int) -> dict[str, Any]:
    """Random transitions: ``observation`` (N, B, X + G), ``action`` (N, B, A), ``future_state`` (N, B, X)."""
    import numpy as np

    random = np.random.default_rng(0)
    future = random.standard_normal((UPDATES, batch, STATE), np.float32)
    state = random.standard_normal((UPDATES, batch, STATE), np.float32)
    return {
        "observation": np.concatenate([state, future[..., list(SETTINGS["goal_indices"])]], -1),
        "action": np.tanh(random.standard_normal((UPDATES, batch, ACTION), np.float32)),
        "future_state": future,
    }


def make_program(losses: ModuleType, modules: dict[str, Any]) -> Any:
    """``(state, key, transitions) -> (state, key)``: ``UPDATES`` of the peer's updates in a scan."""
    import jax

    config = {**SETTINGS, "goal_indices": jax.numpy.array(SETTINGS["goal_indices"])}

    def update_networks(carry: Any, data: dict[str, jax.Array]) -> Any:
        state, key = carry
        key, critic_key, actor_key = jax.random.split(key, 3)
        batch = _Transition(data)
        state, _ = losses.update_actor_and_alpha(config, modules, batch, state, actor_key)
        state, _ = losses.update_critic(config, modules, batch, state, critic_key)
        state = state.replace(gradient_steps=state.gradient_steps + 1)
        return (state, key), None

    def program(state: Any, key: jax.Array, transitions: dict[str, jax.Array]) -> Any:
        return jax.lax.scan(update_networks, (state, key), transitions)[0]

    return program


def _lower(program: Any, *arguments: Any) -> Any:
    try:
        return program.lower(*arguments)
    except (AttributeError, KeyError, TypeError) as error:  # the losses ask for more than `LAYOUT` can tell
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise PeerError(f"{PEER} {_version()} has another layout: its update fails: {reason}") from error


class _Transition:
    """What the peer's losses read of its `Transition`."""

    def __init__(self, data: dict[str, Any]):
        self.observation, self.action = data["observation"], data["action"]
        self.extras = {"future_state": data["future_state"]}


def process_seconds() -> float:
    """Since this process began; where the system does not tell, since this script did."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5): since boot
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError):
        return time.perf_counter() - _SCRIPT_START


def _description(depth: int, width: int, state: Any) -> str:
    import jax

    count = sum(
        leaf.size for part in (state.actor_state, state.critic_state) for leaf in jax.tree_util.tree_leaves(part.params)
    )
    return (
        f"{PEER}'s Actor and two Encoders, {count} parameters: width {width}, network_depth {depth + 1} (input layer, "
        f"then {depth // BLOCK_LAYERS} x {BLOCK_LAYERS} in residual units), skip_connections {BLOCK_LAYERS}, use_ln, "
        f"swish; its update_actor_and_alpha, then its update_critic"
    )


def _parameters(called: Any) -> set[str]:
    """Names of a function's parameters or of a module's fields."""
    return set(inspect.signature(called).parameters) if callable(called) else set()


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # as in `load`
        raise PeerError(f"{PEER}'s update needs {name}, which does not import: {_first_line(error)}") from error


def _version() -> str:
    try:
        return version(PEER)
    except PackageNotFoundError:
        return "unknown"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _drop_own_folder() -> None:
    """Python puts a script's folder first on the path, where our modules would hide others of the same name."""
    own = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != own]


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
