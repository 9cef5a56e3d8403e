"""Segmentation: inference, scores, biometry."""
