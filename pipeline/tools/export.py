"""A fine-tuned segmenter for other tools: SAM as the official ``.pth``, a U-Net and a SAM decoder on Lite0 as ONNX.

``python -m pipeline.tools.export --model models/segmenter/sam-40-0-real --out sam_head.pth``; then, with
``segment_anything``, which annotation tools load,

>>> sam = sam_model_registry["vit_b"](checkpoint="sam_head.pth")  # doctest: +SKIP
>>> SamPredictor(sam).predict(multimask_output=False)  # no prompt: the first structure  # doctest: +SKIP
"""

import argparse
import logging
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

REGISTRY = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
OFFICIAL_SIZE = 1024
SUFFIXES = {"official": ".pth", "onnx": ".onnx"}
BOXES = {
    "whole_box": "give SamPredictor a box around the whole image",
    "predicted_box": "predict without a prompt first, then with a box around the mask found",
}
TOLERANCE = 1e-3
"""Of ONNX logits against torch's."""
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
    from pipeline.networks.weights import read_config, read_tensors

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
    original = read_tensors(base / "sam.safetensors", "run `dvc repro base_sam`")
    trained = facts["settings"]["train"] == "full"
    state = {}
    for key, value in network.sam.state_dict().items():
        if key != TIED:
            fits = value.shape == original[key].shape
            state[key] = value if fits else resize(key, value, original[key].shape) if trained else original[key]
    with written_whole(out) as partial:
        write_official(state, partial)
    if network.detail is not None:
        log.warning("the finer mask head stays behind: the official code has none")
    if network.prompt != "none":
        log.warning("fine-tuned with prompt %s: %s", network.prompt, BOXES[network.prompt])
    if network.shape[0] != OFFICIAL_SIZE:
        sizes = network.shape[0], OFFICIAL_SIZE
        log.warning("fine-tuned at %d px; SamPredictor works at %d px, where masks will differ", *sizes)
    return name


def export_onnx(model: Path, out: Path, base: Path | None = None) -> None:
    """Write ``out`` after ONNX Runtime has computed from it what torch computes.

    Input ``image``: float32 [B, 1, H, W] in [-1, 1], letter-boxed; output ``logits``: [B, structures, H, W]. The
    structures' names, the size (``64`` for a square, ``96,160`` for height and width) and what the logits stand for
    (``independent``: a sigmoid each; ``exclusive``: a softmax with 0 for the background) are in the file's metadata.

    Args:
        base: of a SAM decoder on Lite0, the folder that it started from; None for ``models/base/<its name>``.

    Raises:
        InputError: no such segmenter, or logits that differ by more than 1e-3.
    """
    import numpy as np
    import onnx
    import onnxruntime
    import torch

    from pipeline.data.structures import from_json, names
    from pipeline.imaging.canvas import sides
    from pipeline.networks.kinds import kind_of
    from pipeline.networks.outputs import outputs_of
    from pipeline.networks.segmenter import load_segmenter

    network, about = load_segmenter(kind_of(model), model, "cpu", base)
    size = about["image_size"]
    images = torch.rand(3, 1, *sides(size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    named = {"input_names": ["image"], "output_names": ["logits"]}
    how = {"dynamic_shapes": {"images": {0: torch.export.Dim("batch")}}, "dynamo": True, "verbose": False}
    written = torch.onnx.export(network, (images[:2],), **named, **how).model_proto
    told = ",".join(map(str, dict.fromkeys(sides(size))))
    known = ",".join(names(from_json(about["structures"])))
    onnx.helper.set_model_props(written, {"structures": known, "image_size": told, "outputs": outputs_of(network)})
    data = written.SerializeToString()

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(images).numpy()
    difference = float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(f"{model}: ONNX Runtime's logits differ by {difference:.2g} from torch's; nothing was written")
    with written_whole(out) as partial:
        files.write_bytes(partial, data)
    log.info("%s: %.1f MB, logits within %.1g of torch's", out, len(data) / 1e6, difference)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a fine-tuned segmenter")
    parser.add_argument("--base", type=Path, help="the SAM it started from (default: models/base/<its name>)")
    parser.add_argument(
        "--out",
        type=command.new_file,
        required=True,
        help="the file to write: .pth for SAM, .onnx for a U-Net and on Lite0",
    )


def run(args: argparse.Namespace) -> None:
    from pipeline.config.segmenters import LITE0
    from pipeline.networks.segmenter import read_settings
    from pipeline.networks.weights import read_config

    settings = read_settings(args.model, read_config(args.model, "segmenter"))
    what = f"kind '{settings.kind}'" + (" on Lite0" if settings.base.weights == LITE0 else "")
    form = "onnx" if settings.kind == "unet" or settings.base.weights == LITE0 else "official"
    if args.out.suffix != SUFFIXES[form]:
        raise InputError(f"--out is {args.out}; a segmenter of {what} is written as {SUFFIXES[form]}")
    if form == "onnx":
        export_onnx(args.model, args.out, args.base)
    else:
        name = export_official(args.model, args.out, args.base)
        log.info('%s: sam_model_registry["%s"](checkpoint="%s")', args.out, name, args.out)


if __name__ == "__main__":
    command.main(add_arguments, run)
