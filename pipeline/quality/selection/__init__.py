"""What decides which samples are trained on: a set, judged by its own labels alone."""
