"""Stage base_weights: what every arm of a segmenter starts from."""

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "segmenters")


def run(params, *, segmenter: str, out: Output) -> None:
    """Take over pretrained weights, or draw those of the compact SAM where there are none."""
    from pipeline.networks.segmenter import prepare_base
    from pipeline.run import processes, seeds
    from pipeline.run.errors import InputError

    if processes.count() > 1:
        raise InputError("base_weights is work for one process; start it without torchrun")
    # The same initial weights under every name.
    prepare_base(out, params.segmenter(segmenter), seeds.derive(params.seed, "base_sam"))


if __name__ == "__main__":
    main(run, PARAMS)
