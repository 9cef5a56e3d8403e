"""A fine-tuned segmenter for other tools: SAM as the official ``.pth``, a U-Net as ONNX.

``python -m pipeline.tools.export --model models/segmenter/sam-40-0-real --out sam_head.pth``; then, with
``segment_anything``, which annotation tools load,

>>> sam = sam_model_registry["vit_b"](checkpoint="sam_head.pth")  # doctest: +SKIP
>>> SamPredictor(sam).predict(multimask_output=False)  # no prompt: the first structure  # doctest: +SKIP
"""

import argparse
import logging
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.tools import command

REGISTRY = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
OFFICIAL_SIZE = 1024
SUFFIXES = {"sam": ".pth", "unet": ".onnx"}
BOXES = {
    "whole_box": "give SamPredictor a box around the whole image",
    "predicted_box": "predict without a prompt first, then with a box around the mask found",
}
log = logging.getLogger("pipeline.export")


def export_official(model: Path, out: Path, base: Path | None = None) -> str:
    """Write ``out`` and return the name under which ``sam_model_registry`` builds it.

    Args:
        base: the folder of the SAM it started from; None for ``models/base/<its name>``.

    Positions that fine-tuning left alone are written as the base has them; trained ones are interpolated back.

    Raises:
        InputError: a compact SAM, which the official code cannot build, or no such model.
    """
    from transformers.models.sam.configuration_sam import SamConfig

    from pipeline.networks.kinds import kind_of
    from pipeline.networks.sam.checkpoint import OFFICIAL
    from pipeline.networks.sam.official import TIED, write_official
    from pipeline.networks.sam.pretrained import resize
    from pipeline.networks.segmenter import BASES, load_segmenter
    from pipeline.networks.weights import load_tensors, read_config

    base = base or BASES / read_config(model, "segmenter")["name"]
    about = read_config(base, "sam")
    if about["architecture"] != OFFICIAL:
        remedy = "fine-tune official weights (base.weights) to export them"
        raise InputError(f"{base}: a {about['architecture']}, which segment_anything cannot build; {remedy}")
    network, facts = load_segmenter(kind_of(model), model, "cpu", base)
    vision = SamConfig.from_dict(about["sam"]).vision_config
    name = REGISTRY.get(vision.hidden_size)
    if name is None or vision.image_size != OFFICIAL_SIZE:
        raise InputError(f"{base}: {vision.hidden_size} channels at {vision.image_size} px is no ViT-B, -L or -H")
    original = load_tensors(base, "sam", None)
    trained = facts["settings"]["train"] == "full"
    state = {}
    for key, value in network.sam.state_dict().items():
        if key != TIED:
            fits = value.shape == original[key].shape
            state[key] = value if fits else resize(key, value, original[key].shape) if trained else original[key]
    write_official(state, out)
    if network.detail is not None:
        log.warning("the finer mask head stays behind: the official code has none")
    if network.prompt != "none":
        log.warning("fine-tuned with prompt %s: %s", network.prompt, BOXES[network.prompt])
    if network.image_size != OFFICIAL_SIZE:
        sizes = network.image_size, OFFICIAL_SIZE
        log.warning("fine-tuned at %d px; SamPredictor works at %d px, where masks will differ", *sizes)
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a fine-tuned segmenter")
    parser.add_argument("--base", type=Path, help="the SAM it started from (default: models/base/<its name>)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write: .pth for SAM, .onnx for a U-Net")


def run(args: argparse.Namespace) -> None:
    from pipeline.networks.segmenter import read_settings
    from pipeline.networks.weights import read_config

    kind = read_settings(args.model, read_config(args.model, "segmenter")).kind
    if args.out.suffix != SUFFIXES[kind]:
        raise InputError(f"--out is {args.out}; a segmenter of kind '{kind}' is written as {SUFFIXES[kind]}")
    if kind == "unet":
        from pipeline.tools.onnx_export import export_onnx

        export_onnx(args.model, args.out)
    else:
        name = export_official(args.model, args.out, args.base)
        log.info('%s: sam_model_registry["%s"](checkpoint="%s")', args.out, name, args.out)


if __name__ == "__main__":
    command.main(add_arguments, run)
