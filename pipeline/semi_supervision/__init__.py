"""Objectives that learn from images without labels beside labelled ones; one file each."""
