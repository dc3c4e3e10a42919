"""Options: what an experiment is, where it is read from, and what is refused.

Inside, imports go one way: errors, numbers, budget, specs, supervision and trunk; options; types; refusals; segments;
checks; experiment; foreign; parser; presets.
"""

from .budget import BUDGET_FORMS, NEIGHBOURS, Budget
from .checks import PER_SEED, check_depth, check_halt
from .errors import ConfigError, InputError, RunError, exit_code
from .experiment import Config
from .numbers import Whole, Wholes, whole
from .options import NETWORKS
from .parser import explain, unknown_option
from .presets import PRESETS, check_keys, find_preset, is_there, load, preset_source, read_toml
from .refusals import option_name
from .specs import HALT_FORMS, RECURRENCE_FORMS, Halt, TrainRecurrence, parse_per_seed
from .supervision import NoiseBound, Supervision
from .trunk import BlockKind, TrunkConfig
from .types import is_switch, read_option

__all__ = [
    "BUDGET_FORMS",
    "HALT_FORMS",
    "NEIGHBOURS",
    "NETWORKS",
    "PER_SEED",
    "PRESETS",
    "RECURRENCE_FORMS",
    "BlockKind",
    "Budget",
    "Config",
    "ConfigError",
    "Halt",
    "InputError",
    "NoiseBound",
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
