"""Replay, rollout, the pure epoch, and the session around it."""
