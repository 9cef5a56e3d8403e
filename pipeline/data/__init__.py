"""The dataset contract: cases, reading, writing, label budgets, predictions."""
