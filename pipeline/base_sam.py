"""Stage base_sam: what every arm of a SAM starts from."""

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "segmenters")


def run(params, *, segmenter: str, out: Output) -> None:
    """Take over pretrained weights where the segmenter names some, else draw the compact SAM."""
    from pipeline.config.segmenters import chosen_segmenter

    # Before what takes seconds to import: a mistyped name is refused at once.
    settings = chosen_segmenter(params.segmenters, segmenter, "sam")
    from pipeline.networks.sam import checkpoint
    from pipeline.run import seeds

    # The same initial weights under every name.
    checkpoint.save_base(out, settings, seeds.derive(params.seed, "base_sam"))


if __name__ == "__main__":
    main(run, PARAMS)
