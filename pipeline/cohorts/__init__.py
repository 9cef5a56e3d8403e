"""Where images come from: readers of published cohorts, the phantom simulator, patient splits."""
