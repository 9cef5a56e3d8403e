"""Estimates, intervals and verdicts from scores."""
