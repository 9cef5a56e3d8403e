"""A fine-tuned U-Net as ONNX, for machines without torch: any batch, one image size."""

import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.run import files
from pipeline.run.errors import InputError

TOLERANCE = 1e-3
RUNS = 20


@dataclass(frozen=True)
class Exported:
    """difference: the largest of the logits from torch's. milliseconds: median of an image on one core."""

    difference: float
    milliseconds: float
    megabytes: float


def export_onnx(model: Path, out: Path) -> Exported:
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
    program = torch.onnx.export(
        network,
        (images[:2],),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    written = program.model_proto
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
    one, seconds = images[:1].numpy(), []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        session.run(None, {"image": one})
        seconds.append(time.perf_counter() - start)
    files.write_bytes(out, data)
    return Exported(difference, 1000 * statistics.median(seconds[1:]), len(data) / 1e6)
