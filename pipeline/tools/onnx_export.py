"""A fine-tuned U-Net as ONNX, for machines without torch: any batch, one image size."""

import logging
import statistics
import timeit
from pathlib import Path

import numpy as np
import torch

from pipeline.run import files
from pipeline.run.errors import InputError

TOLERANCE = 1e-3
RUNS = 20
log = logging.getLogger("pipeline.export")


def export_onnx(model: Path, out: Path) -> None:
    """Write ``out`` after ONNX Runtime has computed from it what torch computes, and say how fast it was.

    Input ``image``: float32 [B, 1, S, S] in [-1, 1], letter-boxed; output ``logits``: [B, structures, S, S]. The
    structures' names and S are in the file's metadata.

    Raises:
        InputError: no such U-Net, or logits that differ by more than 1e-3.
    """
    import onnx
    import onnxruntime

    from pipeline.data.structures import from_json, names
    from pipeline.networks.kinds import kind_of
    from pipeline.networks.segmenter import load_segmenter

    network, about = load_segmenter(kind_of(model), model, "cpu")
    size = about["image_size"]
    images = torch.rand(3, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    named = {"input_names": ["image"], "output_names": ["logits"]}
    any_batch = {"images": {0: torch.export.Dim("batch")}}
    how = {"dynamic_shapes": any_batch, "dynamo": True, "verbose": False}
    written = torch.onnx.export(network, (images[:2],), **named, **how).model_proto
    known = ",".join(names(from_json(about["structures"])))
    onnx.helper.set_model_props(written, {"structures": known, "image_size": str(size)})
    data = written.SerializeToString()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(images).numpy()
    difference = float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(f"{model}: ONNX Runtime's logits differ by {difference:.2g} from torch's; nothing was written")
    inputs = {"image": images[:1].numpy()}
    seconds = timeit.repeat(lambda: session.run(None, inputs), number=1, repeat=RUNS + 1)
    files.write_bytes(out, data)
    megabytes, milliseconds = len(data) / 1e6, 1000 * statistics.median(seconds[1:])
    speed = f"{milliseconds:.0f} ms an image on one core"
    log.info("%s: %.1f MB, logits within %.1g of torch's, %s", out, megabytes, difference, speed)
