"""A grid of runs, resumable, handed to an executor."""
