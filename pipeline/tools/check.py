"""Look at a folder of images and masks before anything is trained on it; no DVC, no parameters file, no GPU.

    python -m pipeline.tools.check data/raw/mine --out check_mine

reads every image and mask as the stage `prepare` would, and tells all problems at once: files that cannot be read or
have no partner, implausible sizes, grey levels, pixel sizes and masks, images that occur twice, what is passed over.
``--out`` gets ``index.html``, a page with a contact sheet, and ``cases.csv``. The folder may hold archives. The exit
status is 0 where a stage would take the folder as it is, 1 where it would refuse something.
"""

import argparse
import base64
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

log = logging.getLogger("pipeline.check")
TOLD = 10
"""Problems and warnings that the terminal shows; the page shows all."""
SHOWN, COLUMNS, HEIGHT = 24, 6, 144
"""Tiles of a contact sheet, tiles a row, and their height in pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder or archive, as it would stand under cohorts.<name>.raw")
    parser.add_argument("--reader", choices=("hc18", "fetal_planes", "psfhs", "folder"), help="default: recognised")
    structures = "what the values 1, 2, ... of the masks are, NAME or NAME:ROLE with the role head or symphysis"
    parser.add_argument("--structures", nargs="+", type=structure, metavar="NAME", help=structures)
    command.add_window(parser)
    parser.add_argument("--out", type=command.new_folder, help="folder to write the page to, new or empty")


def structure(text: str):
    """An argument's type: a structure, ``head`` or ``skull:head``."""
    from pipeline.data.structures import Structure

    name, _, role = text.partition(":")
    if not name or role not in ("", "head", "symphysis"):
        raise argparse.ArgumentTypeError(f"{text}: write NAME or NAME:ROLE, with the role head or symphysis")
    return Structure(name, role or ("head" if name == "head" else None))


def run(args: argparse.Namespace) -> int:
    """Tell what was found, and write the page; return the exit status, 1 where there are problems.

    Raises:
        InputError: no such folder, nothing in it, or no reader knows its files.
    """
    from functools import partial

    from tqdm import tqdm

    from pipeline.tools.inspection import inspect

    if args.structures and args.reader not in (None, "folder"):
        raise InputError(f"--structures: the reader '{args.reader}' knows its classes; leave it out")
    command.check_window(args.window)
    progress = partial(tqdm, desc="cases", unit="case", mininterval=5, disable=None)
    found = inspect(args.folder, args.reader, args.structures, args.window, progress)
    print("\n".join(summary(found)))
    if args.out:
        write_page(args.out, args.folder, found)
        print(f"page: {args.out / 'index.html'}")
    return 1 if found.problems else 0


def summary(found) -> Iterator[str]:
    """Lines for the terminal."""
    yield f"{verdict(found)} Reader: {found.reader}."
    for name, value in facts(found):
        yield f"  {name}: {value}"
    for title, told in (("problem", found.problems), ("warning", found.warnings)):
        yield from (f"{title}: {where}: {text}" for where, text in told[:TOLD])
        if len(told) > TOLD:
            yield f"{title}: {len(told) - TOLD} more; --out FOLDER lists all"


def verdict(found) -> str:
    if found.problems:
        return f"Not ready: {number(len(found.problems), 'problem')} to mend."
    return f"Ready, with {number(len(found.warnings), 'warning')}." if found.warnings else "Ready."


def number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def facts(found) -> list[tuple[str, str]]:
    """What was found, by name."""
    looked, doubles = found.looked, found.doubles
    sizes = [f"{width} × {height} ({count})" for (height, width), count in found.sizes]
    more = f" and {len(sizes) - 4} other sizes" if len(sizes) > 4 else ""
    per_patient = Counter(one.patient for one in looked)
    merged = sum(map(len, doubles["merged_patients"])) - len(doubles["merged_patients"])
    told = [
        ("images", f"{len(looked) + found.broken}, {found.broken} of them cannot be read" if found.broken
         else str(len(looked))),
        ("masks", str(sum(one.shares is not None for one in looked)) if found.labelled else
         "none: of use for a cohort with the role foreign or unlabelled"),
        ("patients", f"{found.patients}, at most {number(max(per_patient.values(), default=0), 'image')} each"
         + (f"; {merged} merged into others, which share an image with them" if merged else "")),
        ("width × height", ", ".join(sizes[:4]) + more),
        ("grey levels", spread([one.grey[0] for one in looked], [one.grey[2] for one in looked])
         + ", means " + spread([one.grey[1] for one in looked])),
        ("pixel size, mm", spread([one.pixel_mm for one in looked if one.pixel_mm])
         + f" (known of {sum(one.pixel_mm is not None for one in looked)})"),
        ("age, days", spread([one.ga_days for one in looked if one.ga_days])
         + f" (known of {sum(one.ga_days is not None for one in looked)})"),
    ]  # fmt: skip
    for index, one in enumerate(found.structures if found.labelled else ()):
        shares = [100 * case.shares[index] for case in looked if case.shares and case.shares[index]]
        told.append((f"{one.name}, % of the image", f"{spread(shares)} (in {len(shares)} masks)"))
    kinds = Counter(pair["kind"] for pair in doubles["doubles"])
    same = ", ".join(f"{number(count, 'pair')} {kind}" for kind, count in kinds.items()) or "none"
    near = doubles["near"]
    largest = max(map(len, near["groups"]), default=0)
    told.append(("same image twice", same))
    told.append(("near images", f"{number(near['pairs'], 'pair')}, correlation above {near['threshold']}"
                 + (f"; groups of up to {largest}" if near["pairs"] else "")))  # fmt: skip
    told += [("passed over", f"{what}: {len(names)}, e.g. {names[0]}") for what, names in found.passed_over.items()]
    return told


def spread(low: Sequence[float], high: Sequence[float] | None = None) -> str:
    """Least to greatest value, of two lists where there are two."""
    values = [*low, *(high or ())]
    return f"{min(values):.4g} to {max(values):.4g}" if values else "not known"


def write_page(out: Path, folder: Path, found) -> None:
    """``index.html``, which opens without a network, and ``cases.csv``."""
    from pipeline.data.tables import write_table
    from pipeline.imaging.contact_sheet import evenly_spaced
    from pipeline.quality.pages.templates import environment
    from pipeline.tools.inspection import cases_of

    told = Counter(where for where, _ in [*found.problems, *found.warnings])
    odd = [one.entry for one in found.looked if told[one.entry.case_id]][:SHOWN]
    sheets = {"Cases with a problem or a warning": odd}
    sheets["Spread over the folder"] = evenly_spaced([one.entry for one in found.looked], SHOWN) if found.looked else []
    shown = {title: sheet(cases_of(folder, found, some)) for title, some in sheets.items() if some}
    page = environment("pipeline.tools").get_template("check.html.j2").render(
        name=folder.resolve().name, verdict=verdict(found), found=found, facts=facts(found), sheets=shown,
        titles={title: [entry.case_id for entry in some] for title, some in sheets.items()},
    )  # fmt: skip
    with written_whole(out) as partial:
        files.write_bytes(partial / "index.html", page.encode())
        write_table(partial / "cases.csv", list(rows(found)), columns(found))


def sheet(cases: Sequence) -> str:
    """A contact sheet with outlines as a data address."""
    from pipeline.data.writer import encode_png
    from pipeline.imaging.contact_sheet import contact_sheet, with_contour

    tiles = [with_contour(case.image, case.mask, HEIGHT) for case in cases]
    return "data:image/png;base64," + base64.b64encode(encode_png(contact_sheet(tiles, COLUMNS))).decode()


def columns(found) -> list[str]:
    shares = [f"{one.name}_share" for one in found.structures]
    return ["case", "image", "mask", "patient", "width", "height", "grey_min", "grey_mean", "grey_max", "pixel_mm",
            "hc_mm", "ga_days", "ga_source", *shares, "problems", "warnings"]  # fmt: skip


def rows(found) -> Iterator[dict]:
    """A row of every case that was read."""
    problems, warnings = gathered(found.problems), gathered(found.warnings)
    for one in found.looked:
        shares = zip(found.structures, one.shares or (), strict=False)
        yield {
            "case": one.entry.case_id,
            "image": one.entry.image,
            "mask": one.entry.mask,
            "patient": one.patient,
            "width": one.size[1],
            "height": one.size[0],
            **dict(zip(("grey_min", "grey_mean", "grey_max"), one.grey, strict=True)),
            "pixel_mm": one.pixel_mm,
            "hc_mm": one.hc_mm,
            "ga_days": one.ga_days,
            "ga_source": one.ga_source,
            **{f"{structure.name}_share": share for structure, share in shares},
            "problems": "; ".join(problems.get(one.entry.case_id, ())),
            "warnings": "; ".join(warnings.get(one.entry.case_id, ())),
        }


def gathered(told: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for where, text in told:
        found.setdefault(where, []).append(text)
    return found


if __name__ == "__main__":
    command.main(add_arguments, run)
