"""Kinds of trunk, by the name that ``--block`` gives them."""

from .base import Application, Trunk
from .iru import Iru
from .looped import Looped
from .stacked import Stacked

TRUNKS: dict[str, type[Trunk]] = {"stacked": Stacked, "looped": Looped, "iru": Iru}

__all__ = ["TRUNKS", "Application", "Iru", "Looped", "Stacked", "Trunk"]
