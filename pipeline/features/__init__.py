"""Numbers from images."""
