"""U-Nets on the encoders of image classifiers, and their files."""
