"""``python -m rl_depth``."""

from .cli.main import main

main()
