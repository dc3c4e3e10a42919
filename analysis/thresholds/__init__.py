"""Whether capability jumps, where, and for which goals."""
