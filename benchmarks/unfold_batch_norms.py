"""Give an encoder whose batch norms were folded away statistics again, once, so that it can be fine-tuned.

    python -m benchmarks.unfold_batch_norms --weights folded.npz --images data/raw/hc18/training_set --out encoder.pth

A converter that folds batch norms into convolutions leaves norms that only add. One that stands for the identity would,
in training, normalise away what its convolution learnt. With the mean and variance of its input over the images as
statistics, and as bias and weight, it computes the same, in training nearly so. No mask is read.
"""

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.decoding.decode import decode_image
from pipeline.imaging.letterbox import letterbox, to_unit_range
from pipeline.networks.unet.encoder_weights import is_folded, load_encoder
from pipeline.networks.unet.model import BackboneUNet


@torch.no_grad()
def unfold(network: BackboneUNet, images: Tensor, batch: int = 16) -> None:
    """Give folded batch norms the statistics of ``images``, float [N, 1, S, S], without changing what they compute."""
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def note(norm, inputs):
        x = inputs[0].double()
        count = torch.full((norm.num_features,), x[:, 0].numel(), dtype=torch.float64)
        sums[norm] += torch.stack([count, x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    network.eval()
    for start in range(0, len(images), batch):
        network(images[start : start + batch])
    for hook in hooks:
        hook.remove()
    for norm, (count, total, squares) in sums.items():
        mean = total / count
        variance = (squares / count - mean**2).clamp(min=1e-8)
        # The identity that was: x + bias = (x - mean) / sd * sd + (mean + bias).
        norm.bias += mean.float()
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", required=True, help="an encoder with folded batch norms: .npz, .safetensors or .pth"
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of PNG images of the kind it will see")
    parser.add_argument("--out", type=Path, required=True, help="the .pth to write, for segmenters.<name>.base.weights")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=64, help="pixels (default: %(default)s)")
    args = parser.parse_args()
    paths = sorted(path for path in args.images.glob("*.png") if not path.stem.endswith("_Annotation"))
    images = [letterbox(decode_image(path.read_bytes(), path.name).pixels, args.size)[0] for path in paths]
    base = SimpleNamespace(backbone=args.backbone, input_channels=3)
    decoder = SimpleNamespace(base=base, decoder_channels=(256, 128, 64, 32, 16), deep_supervision=False)
    network = BackboneUNet(decoder, 1).eval()
    load_encoder(network, args.weights)
    if not is_folded(network.encoder):
        parser.error(f"{args.weights}: its batch norms have statistics already; use it as it is")
    unfold(network, torch.from_numpy(to_unit_range(np.stack(images))[:, None]))
    torch.save(network.encoder.state_dict(), args.out)


if __name__ == "__main__":
    main()
