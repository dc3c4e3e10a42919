"""Options: what an experiment is, where it is read from, and what is refused.

Inside, imports go one way: errors, numbers and specs; options; types; checks; experiment; foreign; refusals; presets.
"""

from .checks import PER_SEED, check_depth, check_halt, option_name
from .errors import ConfigError, InputError, RunError, exit_code
from .experiment import Config
from .numbers import Whole, Wholes, whole
from .options import NETWORKS, BlockKind, TrunkConfig
from .presets import PRESETS, check_keys, find_preset, is_there, load, preset_source, read_toml
from .refusals import explain, unknown_option
from .specs import HALT_FORMS, RECURRENCE_FORMS, Halt, TrainRecurrence, parse_per_seed
from .types import is_switch, read_option

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
    "is_switch",
    "is_there",
    "load",
    "option_name",
    "parse_per_seed",
    "preset_source",
    "read_option",
    "read_toml",
    "unknown_option",
    "whole",
]
