"""Stage base_unet: what every arm of a U-Net starts from."""

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("segmenters",)


def run(params, *, segmenter: str, out: Output) -> None:
    """Take over the encoder's pretrained weights where the segmenter names some, else note that there are none."""
    from pipeline.config.segmenters import chosen_segmenter

    # Before what takes seconds to import: a mistyped name is refused at once.
    settings = chosen_segmenter(params.segmenters, segmenter, "unet")
    from pipeline.networks.unet import checkpoint

    checkpoint.save_base(out, settings)


if __name__ == "__main__":
    main(run, PARAMS)
