"""The training set of the challenge FH-PS-AOP (MICCAI 2023, the PSFHS challenge): 4,000 images. Zenodo 7851339.

Bai et al., "PSFHS challenge report: Pubic symphysis and fetal head segmentation from intrapartum ultrasound images",
Medical Image Analysis 2025. Layout and classes are those of :mod:`pipeline.cohorts.psfhs`, and so it seems are the file
numbers: the challenge's 4,000 training cases are 00001 to 04000, and PSFHS is 03744 to 05101. So PSFHS appears to hold
257 of the training cases, and the 401 + 700 cases of the challenge's two test phases.
"""

from pipeline.cohorts.psfhs import CLASSES, PATIENTS_NAMED_BY, decode_mask, index

__all__ = ["CLASSES", "PATIENTS_NAMED_BY", "REMARKS", "decode_mask", "index"]

REMARKS = (
    "by its file numbers PSFHS (Zenodo 10969427) appears to hold 257 of these training cases (03744 to 04000) and the "
    "challenge's test cases (04001 to 05101): neither of the two may train for figures on the other",
)
