"""Layers, blocks, trunks and the one network class built on them. Knows no RL."""
