"""How features were taken, kept beside them and beside the models that were fitted to them."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.config.age import Encoder
from pipeline.config.binning import Binning
from pipeline.config.section import Positive, Section
from pipeline.run import files
from pipeline.run.errors import InputError

NAME = "features.json"


class Taken(Section):
    """image_size, binning, encoder: as in the section ``age``; of a file of weights its name alone."""

    image_size: Positive
    binning: Binning
    encoder: Encoder


def taken(settings) -> Taken:
    """What the section ``age`` says of features."""
    encoder = settings.encoder
    if encoder.timm is not None:
        # Where weights lie is a machine's own affair.
        timm = encoder.timm.model_copy(update={"weights": Path(encoder.timm.weights).name})
        encoder = encoder.model_copy(update={"timm": timm})
    return Taken(image_size=settings.image_size, binning=settings.binning, encoder=encoder)


def save_taken(folder: Path, how: Taken) -> None:
    files.write_json(folder / NAME, how.model_dump(mode="json"))


def load_taken(folder: Path) -> Taken:
    """What :func:`save_taken` wrote.

    Raises:
        InputError: no such file, or one of another version.
    """
    found = files.read_json(folder / NAME, "run the stages of the model again, or `dvc pull`")
    try:
        return TypeAdapter(Taken).validate_python(found, strict=False)
    except ValidationError:
        raise InputError(f"{folder / NAME}: is of another version; run the stages of the model again") from None


def taken_alike(*folders: Path) -> Taken:
    """How the features in all of these folders were taken.

    Raises:
        InputError: they were taken in different ways.
    """
    first, *others = (load_taken(folder) for folder in folders)
    for folder, other in zip(folders[1:], others, strict=True):
        if other != first:
            raise InputError(f"{folder}: features are taken in another way than in {folders[0]}; run both stages again")
    return first
