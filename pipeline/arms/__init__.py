"""What the arms of a comparison are trained on."""
