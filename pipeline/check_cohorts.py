"""Stage check_cohorts: is an image or patient that something is trained on in a cohort that it is tested on?"""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "grid", "cohorts", "filter", "score")


def run(params, *, train: Path, held_out: Path, foreign: Path, unlabelled: Path, out: Output, passed: Output) -> None:
    """Hold the sizes of all cohorts against what is asked of them and compare their images, before anything is trained.

    ``out`` tells of every cohort and of what they have in common. ``passed`` is written only where nothing is amiss,
    and always the same: what is trained depends on it, and on no cohort but its own.
    """
    from collections import Counter

    from pipeline.cohorts.across import check_members, member, summary
    from pipeline.config.cohorts import held_out_names
    from pipeline.config.set_sizes import shortages, too_few_patients
    from pipeline.data.dataset import open_dataset
    from pipeline.data.labels import label_patients
    from pipeline.run import files
    from pipeline.run.errors import InputError

    paths = [train, *(held_out / name for name in held_out_names(params.cohorts)), foreign]
    paths += [] if unlabelled == train else [unlabelled]
    datasets = {path.name: open_dataset(path) for path in paths}
    for name, dataset in datasets.items():
        counts = Counter(dataset.cases.column("split"))
        if found := "; ".join(shortages(params, name, counts)):
            raise InputError(found)
    subsets = {(n, r): label_patients(datasets[train.name], n, r, params.seed) for n, r in params.grid.sets()}
    patients = {subset: len(set(chosen.values())) for subset, chosen in subsets.items()}
    if found := "; ".join(too_few_patients(params, patients)):
        raise InputError(found)
    between = check_members([member(name, dataset) for name, dataset in datasets.items()])
    files.write_json(out, {"cohorts": {name: summary(one) for name, one in datasets.items()}, "between": between})
    files.write_bytes(passed, b"Nothing that is trained on is in a cohort that is tested on.\n")


if __name__ == "__main__":
    main(run, PARAMS)
