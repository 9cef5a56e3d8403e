"""Fine-tuned segmenters on disk."""

from pathlib import Path

from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.core.params import Segmenter
from pipeline.core.weights import load_weights, read_config, save_weights
from pipeline.segmentation.sam import PromptlessSam, build_small_sam
from pipeline.segmentation.sam_official import load_official_sam


def build_segmenter(params: Segmenter, n_structures: int) -> PromptlessSam:
    """The official checkpoint where ``params.weights`` names one, else a small SAM with random weights."""
    if params.weights is None:
        return build_small_sam(params, params.image_size, n_structures)
    return load_official_sam(Path(params.weights), params.image_size, n_structures)


def save_segmenter(folder: Path, network: PromptlessSam, classes: tuple[str, ...], trained_on: dict) -> None:
    save_weights(
        folder,
        "segmenter",
        network.sam,
        {
            "architecture": "transformers.SamModel, promptless",
            "sam": network.sam.config.to_diff_dict(),
            "image_size": network.image_size,
            "classes": list(classes),
            "trained_on": trained_on,
            "licence": "Apache-2.0; see the licence of the training data and of the initial weights",
        },
    )


def load_segmenter(folder: Path, device) -> tuple[PromptlessSam, dict]:
    """The network in evaluation mode, and its configuration.

    Raises:
        InputError: no segmenter there, or weights of another architecture.
    """
    config = read_config(folder, "segmenter")
    network = PromptlessSam(SamModel(SamConfig.from_dict(config["sam"])), len(config["classes"]) - 1)
    load_weights(folder, "segmenter", network.sam)
    return network.to(device).eval(), config
