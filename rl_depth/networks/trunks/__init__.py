"""Kinds of trunk, by the name that ``--block`` gives them."""

from ...config import TrunkConfig
from .base import Application, Trunk
from .iru import Iru
from .looped import Looped
from .stacked import Stacked
from .two_level import TwoLevel

TRUNKS: dict[str, type[Trunk]] = {"stacked": Stacked, "looped": Looped, "two-level": TwoLevel, "iru": Iru}


def make_trunk(config: TrunkConfig) -> Trunk:
    """The trunk that a configuration describes."""
    return TRUNKS[config.block](config)


__all__ = ["TRUNKS", "Application", "Iru", "Looped", "Stacked", "Trunk", "TwoLevel", "make_trunk"]
