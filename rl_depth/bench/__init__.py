"""What the performance tables are measured with."""
