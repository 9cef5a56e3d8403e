"""Reading a raw cohort with the settings of ``params.yaml``, the parts a test cares about."""

from collections.abc import Iterator

from pipeline.cohorts.readers import read_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.case import Case
from pipeline.data.structures import Structure

HEAD = (Structure("head", "head"),)
TWO = (Structure("symphysis", "symphysis"), Structure("head", "head"))


def read(reader: str, root, labelled: bool = True, task=HEAD, name: str = "mine", **settings) -> Iterator[Case]:
    values = {"role": "foreign", "reader": reader, "raw": str(root), "labelled": labelled} | settings
    return read_cohort(name, Cohort.model_validate(values), task, root)
