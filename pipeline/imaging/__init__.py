"""Geometry and grey values of arrays."""
