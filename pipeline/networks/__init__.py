"""Architectures, and their files."""
