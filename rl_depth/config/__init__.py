"""Options: what an experiment is, where it is read from, and what is refused.

Inside, imports go one way: errors, numbers, specs, supervision and trunk; options; refusals; segments; checks;
experiment; presets.
"""

from .checks import PER_SEED, check_depth, check_halt
from .errors import ConfigError, InputError, RunError, exit_code
from .experiment import Config
from .numbers import Whole, Wholes
from .options import NETWORKS
from .presets import PRESETS, check_keys, explain, find_preset, load, preset_source, read_toml
from .refusals import option_name
from .specs import HALT_FORMS, RECURRENCE_FORMS, Halt, TrainRecurrence, parse_per_seed
from .supervision import Supervision
from .trunk import BlockKind, TrunkConfig

__all__ = [
    "HALT_FORMS",
    "NETWORKS",
    "PER_SEED",
    "PRESETS",
    "RECURRENCE_FORMS",
    "BlockKind",
    "Config",
    "ConfigError",
    "Halt",
    "InputError",
    "RunError",
    "Supervision",
    "TrainRecurrence",
    "TrunkConfig",
    "Whole",
    "Wholes",
    "check_depth",
    "check_halt",
    "check_keys",
    "exit_code",
    "explain",
    "find_preset",
    "load",
    "option_name",
    "parse_per_seed",
    "preset_source",
    "read_toml",
]
