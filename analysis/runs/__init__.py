"""From run folders and tables to groups of seeds and series over depth."""
