"""How often the verdicts are wrong, by simulation."""
