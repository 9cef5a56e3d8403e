"""Gestational age from images: features, estimators, intervals, and what an estimator reads."""
