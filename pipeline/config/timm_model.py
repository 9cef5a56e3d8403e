"""A model of timm with the user's own weights, where a section takes one."""

from pipeline.config.section import Section


class TimmModel(Section):
    """timm's name, and the path of a file of its state dict."""

    model: str
    weights: str
