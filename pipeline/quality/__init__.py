"""What a synthetic set is worth: fidelity, mask obedience, novelty."""
