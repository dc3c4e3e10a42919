"""Losses, algorithms, and what an agent costs."""
