"""``python -m rl_depth``."""

from .cli import main

main()
