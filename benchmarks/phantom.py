"""Time of the phantom simulator per image and cohort, and what its parts cost.

Run with ``python -m benchmarks.phantom [images per cohort]`` from the repository root; one thread
(``OMP_NUM_THREADS=1``) gives the figure that scales over processes. Prints JSON, milliseconds per image.
"""

import argparse
import cProfile
import json
import pstats
import sys
import time

from pipeline.simulation import COHORTS, simulate_case

PARTS = ("scene", "log_image_db", "scan_convert", "rasterise", "plan_case", "polar_positions", "burn_in")


def milliseconds_per_image(cohort: str, count: int) -> dict[str, float]:
    """Wall and processor time per image after one warm-up image."""
    simulate_case(cohort, 0, 0)
    wall, processor = time.perf_counter(), time.process_time()
    for index in range(count):
        simulate_case(cohort, index, 0)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"wall_ms": round(1e3 * wall / count, 1), "processor_ms": round(1e3 * processor / count, 1)}


def profile(cohort: str, count: int) -> dict[str, float]:
    """Cumulative milliseconds per image of the main parts (with the profiler's own overhead)."""
    profiler = cProfile.Profile()
    profiler.enable()
    for index in range(count):
        simulate_case(cohort, index, 0)
    profiler.disable()
    stats = pstats.Stats(profiler).stats
    return {name: round(1e3 * entry[3] / count, 1) for (_, _, name), entry in stats.items() if name in PARTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=20, help="images per cohort (default: %(default)s)")
    count = parser.parse_args().count
    report = {cohort: milliseconds_per_image(cohort, count) for cohort in COHORTS}
    document = {"images": count, "cohorts": report, "parts_ms": profile("phantom_a", count)}
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
