"""The sub-commands, by what they are about. Heavy imports stand inside the functions."""
