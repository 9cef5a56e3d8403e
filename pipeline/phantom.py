"""Stage phantom: simulate the embedded cohorts as folders of images, masks and a cases.csv."""

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "phantom")


def run(params, *, out: Output) -> None:
    """Simulate the phantom cohorts, each in the layout a user's own folder has."""
    from pipeline import simulation as phantom
    from pipeline.data.tables import write_table
    from pipeline.run.errors import InputError
    from pipeline.run.processes import pool

    if unknown := sorted(set(params.phantom.cases) - set(phantom.COHORTS)):
        raise InputError(
            f"key 'phantom.cases': no phantom cohort '{unknown[0]}'; there are {', '.join(phantom.COHORTS)}"
        )
    jobs = [(name, i) for name, count in params.phantom.cases.items() for i in range(count)]
    with pool(params.compute.threads) as workers:
        rows = list(workers.map(_simulate, jobs, [params.seed] * len(jobs), [out] * len(jobs), chunksize=4))
    for name in params.phantom.cases:
        write_table(
            out / name / "cases.csv", [row for row, (cohort, _) in zip(rows, jobs, strict=True) if cohort == name]
        )


def _simulate(job, seed, out) -> dict:
    from PIL import Image

    from pipeline import simulation as phantom

    cohort, index = job
    case = phantom.simulate_case(cohort, index, seed)
    for folder, array in (("images", case.image), ("masks", case.mask)):
        if array is not None:
            path = out / cohort / folder / f"{case.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path, compress_level=4)
    return {
        "id": case.id,
        "patient": case.patient,
        "pixel_mm": case.pixel_mm,
        "hc_mm": case.hc_mm,
        "country": case.country,
        "device": case.device,
    }


if __name__ == "__main__":
    main(run, PARAMS)
