"""What it takes to change one stage's entry in `dvc.lock`: DVC's way, and that of `quick_dvc`.

    python -m benchmarks.lock_file --stages 50 300 1000

The lock file is this project's own: the entries of its cells, repeated under other names up to the number of stages.
Each way sets the same entry; the two files are compared byte for byte.
"""

import argparse
import tempfile
import time
from copy import deepcopy
from pathlib import Path

from pipeline.tools.launch.quick_dvc import with_entries

LOCK = Path(__file__).parents[1] / "dvc.lock"


def lock_of(stages: int) -> dict:
    from dvc.utils.serialize import loads_yaml

    own = loads_yaml(LOCK.read_text())
    kinds = "finetune_", "predict_", "evaluate@"
    cells = [entry for name, entry in own["stages"].items() if name.startswith(kinds)]
    # Copies: of one object DVC would write an anchor and aliases.
    named = {f"cell@unet-{number}": deepcopy(cells[number % len(cells)]) for number in range(stages)}
    return {"schema": own["schema"], "stages": named}


def main() -> None:
    from dvc.utils.serialize import dump_yaml, modify_yaml

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, nargs="+", default=[50, 300, 1000])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dvc.lock"
        for stages in args.stages:
            dump_yaml(str(path), lock_of(stages))
            text = path.read_text()
            name = f"cell@unet-{stages // 2}"
            out = {"path": "a", "hash": "md5", "md5": "0", "size": 1}
            entry = {"cmd": "python -m pipeline.predict_unet", "outs": [out]}

            start = time.perf_counter()
            with modify_yaml(str(path)) as data:
                data["stages"][name] = entry
            parsed = time.perf_counter() - start

            start = time.perf_counter()
            changed = with_entries(text, {name: entry})
            quick = time.perf_counter() - start

            same = "equal" if changed == path.read_text() else "DIFFERENT"
            print(f"{stages} stages, {len(text):,} bytes: DVC {parsed:.2f} s, quick_dvc {quick * 1000:.0f} ms, {same}")


if __name__ == "__main__":
    main()
