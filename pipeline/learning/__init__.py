"""The training loop, and what it is given: a recipe and an objective."""
