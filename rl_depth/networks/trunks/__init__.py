"""Kinds of trunk, by the name that ``--block`` gives them."""

from dataclasses import replace

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


def application_of(config: TrunkConfig) -> Application:
    """What one application costs, the noise after it included; parameters of that are shared, and not counted here."""
    own, w = TRUNKS[config.block].application(config), config.width
    if config.noise != "learned":
        return own
    layer = 4 * w * w
    return replace(
        own, flops=own.flops + layer, graded=own.graded + layer, kept=own.kept + 2 * w, serial=own.serial + 1
    )


__all__ = ["TRUNKS", "Application", "Iru", "Looped", "Stacked", "Trunk", "TwoLevel", "application_of", "make_trunk"]
