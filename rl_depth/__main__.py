"""``rl-depth`` and ``python -m rl_depth``: the command line, which can be interrupted from its first moment on."""

from __future__ import annotations

from . import interrupts


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exits 0, 1 for a failure while running, 2 for a bad option or input, 130 when interrupted."""
    interrupts.install()
    try:
        from .cli import main as command_line

        command_line.main(arguments)
    except KeyboardInterrupt:
        interrupts.end()


if __name__ == "__main__":
    main()
