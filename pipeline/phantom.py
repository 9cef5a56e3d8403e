"""Stage phantom: simulate the embedded cohorts as folders of images, masks and a cases.csv."""

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "phantom")


def run(params, *, out: Output) -> None:
    """Simulate the phantom cohorts, each in the layout a user's own folder has."""
    from itertools import repeat

    from pipeline import simulation as phantom
    from pipeline.data.tables import write_table
    from pipeline.run.errors import InputError
    from pipeline.run.processes import pool

    known = phantom.VIEWS[params.phantom.view].COHORTS
    if unknown := sorted(set(params.phantom.cases) - set(known)):
        raise InputError(f"key 'phantom.cases': no phantom cohort '{unknown[0]}'; there are {', '.join(known)}")
    jobs = [(name, i) for name, count in params.phantom.cases.items() for i in range(count)]
    with pool(params.compute.threads) as workers:
        rows = list(
            workers.map(_simulate, jobs, repeat(params.seed), repeat(params.phantom.view), repeat(out), chunksize=4)
        )
    for name in params.phantom.cases:
        write_table(
            out / name / "cases.csv", [row for row, (cohort, _) in zip(rows, jobs, strict=True) if cohort == name]
        )


def _simulate(job, seed, view, out) -> dict:
    from PIL import Image

    from pipeline import simulation as phantom

    cohort, index = job
    case = phantom.simulate_case(cohort, index, seed, view)
    for folder, array in (("images", case.image), ("masks", case.mask)):
        if array is not None:
            path = out / cohort / folder / f"{case.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path, compress_level=4)
    return {
        "id": case.id,
        "patient": case.patient,
        "pixel_mm": case.pixel_mm,
        **{name: getattr(case, name) for name in phantom.VIEWS[view].TARGETS},
        "country": case.country,
        "device": case.device,
    }


if __name__ == "__main__":
    main(run, PARAMS)
