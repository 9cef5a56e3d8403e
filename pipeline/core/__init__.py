"""What every stage shares: parameters, dataset contract, atomic output, seeds, progress."""
