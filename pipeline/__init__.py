"""Mask-conditioned diffusion for fetal-head ultrasound: train, sample, score, fine-tune, compare.

The modules directly in this package are the stages of ``dvc.yaml``; each is also a command line
(``python -m pipeline.sample --help``). Stages import domains; a domain imports those before it in
the order of ``tests/test_dag.py``, and nothing imports the other way.
"""
