"""Losses, algorithms behind one registry, and what an agent costs."""

from .algorithm import AgentState, Algorithm, Batch, Hyper
from .crl import ContrastiveAgent

ALGORITHMS: dict[str, type[Algorithm]] = {"crl": ContrastiveAgent}

__all__ = ["ALGORITHMS", "AgentState", "Algorithm", "Batch", "ContrastiveAgent", "Hyper"]
