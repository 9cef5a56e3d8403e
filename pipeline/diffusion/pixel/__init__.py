"""The generator in pixels, trained from scratch."""
