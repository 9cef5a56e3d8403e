"""Segmentation networks, their training, and per-case scores."""
