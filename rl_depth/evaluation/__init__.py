"""A trained agent as a policy, and what it can do."""
