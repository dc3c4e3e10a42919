"""The command line: sub-commands and their tables; the only room that imports `analysis`."""
