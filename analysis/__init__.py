"""Conclusions from finished runs: arrays in, arrays out; nothing here trains."""
