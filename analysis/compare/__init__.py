"""Which agents do better: intervals over seeds, and looped ones against equal stacked ones."""
