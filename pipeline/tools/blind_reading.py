"""Can a reader tell the synthetic images from real ones? A page for the readers, and the score of their votes.

    python -m pipeline.tools.blind_reading make --synthetic data/synthetic/40-0 --real data/cohorts/train/hc18 \\
        --out reading
    python -m pipeline.tools.blind_reading score --key reading/key.csv votes-*.csv

``make`` writes ``reading.html``, one page without the answers that opens from disk in any browser: send readers this
file alone. ``key.csv`` holds the answers. Each reader saves a file of votes from 1 (surely real) to 4 (surely
synthetic); ``score`` takes them all.
"""

import argparse
import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pipeline.config.section import NonNegative, Positive, Section
from pipeline.data.tables import read_table, write_table
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

log = logging.getLogger("pipeline.blind_reading")
UNSEEN = ("val", "test")
"""Splits whose patients no generator was trained on."""
SEED = 0
"""Of the bootstrap: equal votes give equal intervals."""


class Answer(Section):
    """A row of the key."""

    reading: str
    image: Positive
    case: str
    truth: Literal["real", "synthetic"]


class Vote(Section):
    """A row of a reader's file; without a vote the image is unrated. seconds: for how long it was looked at."""

    reading: str
    reader: str
    image: Positive
    vote: Annotated[int, Field(ge=1, le=4)] | None
    seconds: NonNegative


Key = Mapping[int, Answer]
"""The answers by image number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write the page for the readers and the key")
    make.add_argument("--synthetic", type=Path, required=True, help="synthetic or curated dataset")
    make.add_argument("--real", type=Path, required=True, help="prepared training cohort; its val and test are shown")
    make.add_argument("--count", type=int, default=80, help="images in all, half of each kind (default: %(default)s)")
    make.add_argument("--seed", type=int, default=0, help="of the draw and of the order (default: %(default)s)")
    make.add_argument("--out", type=command.new_folder, required=True, help="folder to write, new or empty")
    make.set_defaults(run=run_make)
    scoring = commands.add_parser("score", help="score the readers' votes")
    scoring.add_argument("--key", type=Path, required=True, help="the key.csv that `make` wrote")
    scoring.add_argument("--out", type=command.new_file, help="JSON file to write as well")
    scoring.add_argument("votes", type=Path, nargs="+", help="the readers' files, one a reader")
    scoring.set_defaults(run=run_score)


def make_reading(synthetic: Path, real: Path, count: int, seed: int, out: Path) -> None:
    """Write ``reading.html`` and ``key.csv``; equal arguments and data give equal bytes.

    All images are letter-boxed to the longest side of the synthetic ones, cut and encoded alike.

    Args:
        count: images in all; even, from 10 to 1000.
        out: a folder that stands there is replaced.

    Raises:
        InputError: a set of another role or with too few images, or a count that is not allowed.
    """
    if count % 2 or not 10 <= count <= 1000:
        raise InputError(f"--count is {count}; it must be even (half of the images are real), from 10 to 1000")
    import numpy as np

    from pipeline.data.writer import encode_png
    from pipeline.imaging.letterbox import letterbox
    from pipeline.run.seeds import numpy_generator

    drawn = [(case, "synthetic") for case in draw(synthetic, "synthetic", None, count // 2, seed)]
    size = max(max(case.image.shape) for case, _ in drawn)
    drawn += [(case, "real") for case in draw(real, "train", UNSEEN, count // 2, seed)]
    shown = [drawn[i] for i in numpy_generator(seed, "blind order").permutation(count)]
    boxed = [letterbox(case.image, size) for case, _ in shown]
    warn_of_shapes([box.inner for _, box in boxed], [truth for _, truth in shown])
    # A border that every image has is cut off from all alike: readers see larger images.
    top, left = np.min([box.offset for _, box in boxed], axis=0)
    pngs = [encode_png(np.ascontiguousarray(canvas[top : size - top, left : size - left])) for canvas, _ in boxed]
    reading = hashlib.sha256(b"".join(pngs)).hexdigest()[:12]
    answers = [Answer(reading=reading, image=i, case=case.id, truth=kind) for i, (case, kind) in enumerate(shown, 1)]
    with written_whole(out) as folder:
        page = render_page(reading, pngs, (size - 2 * top, size - 2 * left))
        files.write_bytes(folder / "reading.html", page.encode())
        write_table(folder / "key.csv", [answer.model_dump() for answer in answers])


def draw(path: Path, role: str, splits: Sequence[str] | None, count: int, seed: int) -> list:
    """``count`` cases of a dataset; a larger count draws the same ones and more.

    Raises:
        InputError: the dataset has another role, or too few cases.
    """
    from pipeline.data.dataset import open_dataset
    from pipeline.run.seeds import numpy_generator

    dataset = open_dataset(path, splits)
    if dataset.role != role:
        wanted = {"synthetic": "the folder of a synthetic or curated set", "train": "the prepared training cohort"}
        raise InputError(f"{path}: its role is '{dataset.role}', not '{role}'; give {wanted[role]}")
    if (there := len(dataset.cases)) < count:
        where = f" in the splits {' and '.join(splits)}" if splits else ""
        fewer = f"lower --count to {2 * there} or less, or " if there else ""
        more = "add patients or enlarge those splits" if splits else "sample more images"
        raise InputError(f"{path}: {there} images{where}, {count} are needed; {fewer}{more}")
    chosen = numpy_generator(seed, "blind draw", role).permutation(len(dataset.cases))[:count]
    return [dataset.cases[int(i)] for i in sorted(chosen)]


def warn_of_shapes(shapes: Sequence[tuple[int, int]], truth: Sequence[str]) -> None:
    """Say so when the black borders alone tell many images' kind: borders that one kind has and the other has not."""
    kinds = defaultdict(set)
    for shape, kind in zip(shapes, truth, strict=True):
        kinds[shape].add(kind)
    telling = sum(len(kinds[shape]) == 1 for shape in shapes)
    if telling > len(shapes) / 10:
        share = f"{telling} of {len(shapes)} images"
        log.warning("%s have a height and width that only their own kind has: readers may go by the black borders; "
                    "sample with masks of the cohort's own format", share)  # fmt: skip


def render_page(reading: str, pngs: Sequence[bytes], shape: tuple[int, int]) -> str:
    """The page of PNG images of one shape in the order they are shown; it holds nothing about them but their pixels."""
    import base64

    from pipeline.quality.pages.templates import environment

    images = [base64.b64encode(png).decode() for png in pngs]
    template = environment("pipeline.tools").get_template("blind_reading.html.j2")
    return template.render(reading=reading, images=images, height=shape[0], width=shape[1])


def read_rows(path: Path, kind: type[Section], remedy: str) -> dict:
    """The rows of a CSV file, at least one, as sections of a kind by image number; an empty field is None.

    Raises:
        InputError: no such file, not CSV, no row, a column is missing, a field is not as the section says, or an image
            occurs twice.
    """
    rows = {}
    for row in read_table(path, kind.model_fields, remedy, strip=True):
        try:
            read = kind.model_validate({name: row[name] or None for name in kind.model_fields})
        except ValidationError as error:
            fault = error.errors()[0]
            place, text = row.place(str(fault["loc"][0])), fault["input"] or ""
            raise InputError(f"{place} is '{text}': {fault['msg']}; {remedy}") from None
        if rows.setdefault(read.image, read) is not read:
            raise InputError(f"{path}: image {read.image} occurs twice; {remedy}")
    if not rows:
        raise InputError(f"{path}: no row below the header; {remedy}")
    return rows


def read_key(path: Path) -> Key:
    """The answers that :func:`make_reading` wrote.

    Raises:
        InputError: not a key, or one that was changed.
    """
    remedy = "give the key.csv that `make` wrote"
    key = read_rows(path, Answer, remedy)
    if len({answer.reading for answer in key.values()}) > 1:
        raise InputError(f"{path}: answers of several readings; {remedy}")
    if len({answer.truth for answer in key.values()}) < 2:
        raise InputError(f"{path}: it needs images of both kinds; {remedy}")
    return key


def reading_of(key: Key) -> str:
    return next(iter(key.values())).reading


def read_ballots(paths: Sequence[Path], key: Key) -> dict[str, list[Vote]]:
    """Reader → votes, one file each, without unrated images.

    Raises:
        InputError: votes of another reading, an unknown or repeated image, a vote that is not 1 to 4, several readers
            in one file, no vote, or a reader occurs twice.
    """
    remedy, reading = "give a file as the page saved it", reading_of(key)
    ballots, seen = {}, {}
    for path in paths:
        votes = read_rows(path, Vote, remedy).values()
        reader = next(iter(votes)).reader
        for vote in votes:
            if vote.reading != reading:
                raise InputError(f"{path}: votes of the reading '{vote.reading}', the key is of '{reading}'; {remedy}")
            if vote.reader != reader:
                raise InputError(f"{path}: votes of '{reader}' and of '{vote.reader}'; give one file a reader")
            if vote.image not in key:
                raise InputError(f"{path}: image {vote.image} is not among the {len(key)} of the key; {remedy}")
        if (first := seen.setdefault(reader.casefold(), path)) is not path:
            raise InputError(f"{path}: reader '{reader}' has voted in {first} too; give one file a reader")
        ballots[reader] = [vote for vote in votes if vote.vote is not None]
        if not ballots[reader]:
            raise InputError(f"{path}: no image is rated; leave the file out")
    return ballots


def score_reading(key: Key, ballots: Mapping[str, Sequence[Vote]]) -> dict:
    """All scores of a reading, ready for JSON."""
    import numpy as np

    from pipeline.quality.reader_agreement import in_words, score_agreement, score_pooled
    from pipeline.run.seeds import numpy_generator

    images = sorted(key)
    truth = np.array([key[image].truth == "synthetic" for image in images])
    given = [{vote.image: vote.vote for vote in ballot} for ballot in ballots.values()]
    votes = np.array([[rated.get(image, np.nan) for image in images] for rated in given], dtype=float)
    pooled = score_pooled(votes, truth, numpy_generator(SEED, "pooled"))
    return {
        "reading": reading_of(key),
        "images": len(images),
        "synthetic": int(truth.sum()),
        "in_words": in_words(pooled, len(ballots), len(images)),
        "readers": [
            {
                "reader": reader,
                **score_pooled(row[None], truth, numpy_generator(SEED, "reader")),
                "median_seconds": float(np.median([vote.seconds for vote in ballot])),
            }
            for row, (reader, ballot) in zip(votes, ballots.items(), strict=True)
        ],
        "pooled": pooled,
        "agreement": score_agreement(votes, truth, numpy_generator(SEED, "agreement")),
    }


def run_make(args: argparse.Namespace) -> None:
    make_reading(args.synthetic, args.real, args.count, args.seed, args.out)
    log.info("send readers %s alone; %s holds the answers", args.out / "reading.html", args.out / "key.csv")


def run_score(args: argparse.Namespace) -> None:
    from pipeline.quality.reader_agreement import as_text

    key = read_key(args.key)
    scores = score_reading(key, read_ballots(args.votes, key))
    for reader in scores["readers"]:
        if reader["unrated"]:
            log.warning("%s left %d of %d images unrated", reader["reader"], reader["unrated"], scores["images"])
    if args.out:
        with written_whole(args.out) as partial:
            files.write_json(partial, scores)
    print(as_text(scores))


if __name__ == "__main__":
    command.main(add_arguments, lambda args: args.run(args))
