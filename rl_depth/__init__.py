"""Depth thresholds in deep self-supervised reinforcement learning."""
