"""What is said when a run cannot be: every message is one line."""

from __future__ import annotations


class ConfigError(ValueError):
    """A bad option; the message is one line that names the option, its value and what is allowed."""


class RunError(RuntimeError):
    """A run cannot go on; the message is one line."""


class InputError(RunError):
    """A file or folder that was named cannot be used: it is missing, foreign, torn or not writable."""


def exit_code(error: Exception) -> int:
    """Exit code of a process that ends with an error: 2 for a bad option or input, 1 for a failure while running."""
    return 2 if isinstance(error, ConfigError | InputError) else 1
