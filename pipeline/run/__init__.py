"""How a stage runs: command line, atomic outputs, resuming, seeds, devices, processes, progress."""
