"""Measurements of segmented structures: head circumference, angle of progression, head-symphysis distance."""
