"""What a synthetic set is worth: fidelity, coverage, mask agreement, distance to training images, use for training."""
