"""The IBSI digital phantom: consensus values of the Image Biomarker Standardisation Initiative.

Phantom and values: Zwanenburg et al., "The Image Biomarker Standardization Initiative", Radiology 2020, and reference
manual, arXiv:1612.07003 (digital phantom; CC BY 4.0). The texture of a volume is here that of its slices, averaged.
"""

import csv

import numpy as np
import pytest

from pipeline.config.binning import FixedBinWidth
from pipeline.features.radiomics import FEATURES, first_order, glcm, glrlm, glszm, histogram, ngldm, ngtdm, radiomics

LEVELS = 6
# Four slices of 4 × 5 voxels, grey levels used as they are; 0 is outside the mask.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    dtype=np.uint16,
)
# By family and suffix of the tag: IBSI's tags in the order of our NAMES, and the consensus values.
TAGS = {
    "stat": "mean var skew kurt median min p10 p90 max iqr range mad rmad medad cov qcod energy rms",
    "ih": "mode entropy uniformity max_grad max_grad_g min_grad min_grad_g",
    "cm": "joint_max joint_avg joint_var joint_entr diff_avg diff_var diff_entr sum_avg sum_var sum_entr energy "
    "contrast dissimilarity inv_diff inv_diff_norm inv_diff_mom inv_diff_mom_norm inv_var corr auto_corr clust_tend "
    "clust_shade clust_prom info_corr1 info_corr2",
    "rlm": "sre lre lgre hgre srlge srhge lrlge lrhge glnu glnu_norm rlnu rlnu_norm r_perc gl_var rl_var rl_entr",
    "szm": "sze lze lgze hgze szlge szhge lzlge lzhge glnu glnu_norm zsnu zsnu_norm z_perc gl_var zs_var zs_entr",
    "ngl": "lde hde lgce hgce ldlge ldhge hdlge hdhge glnu glnu_norm dcnu dcnu_norm dc_perc gl_var dc_var dc_entr "
    "dc_energy",
    "ngt": "coarseness contrast busyness complexity strength",
}
CONSENSUS = {
    ("stat", ""): "2.15 3.05 1.08 -0.355 1 1 1 4 6 3 5 1.55 1.11 1.15 0.812 0.6 567 2.77",
    ("ih", ""): "1 1.27 0.512 8 3 -50 1",
    ("cm", "_2D_avg"): "0.519 2.14 2.69 2.05 1.42 2.9 1.4 4.28 5.47 1.6 0.368 5.28 1.42 0.678 0.851 0.619 0.899 0.0567 "
    "-0.0121 5.09 5.47 7 79.1 -0.155 0.487",
    ("cm", "_2D_comb"): "0.512 2.14 2.71 2.24 1.4 3.06 1.49 4.29 5.66 1.79 0.352 5.19 1.4 0.683 0.854 0.625 0.901 "
    "0.0553 0.0173 5.14 5.66 6.98 80.4 -0.0341 0.263",
    ("rlm", "_2D_avg"): "0.641 3.78 0.604 9.82 0.294 8.57 3.14 17.4 5.2 0.46 6.12 0.492 0.627 3.35 0.761 2.17",
    ("rlm", "_2D_comb"): "0.661 3.51 0.609 9.74 0.311 8.67 2.92 16.1 20.5 0.456 21.6 0.441 0.627 3.37 0.778 2.57",
    ("szm", "_2D"): "0.363 43.9 0.371 16.4 0.0259 10.3 40.4 113 1.41 0.323 1.49 0.333 0.24 3.97 21 1.93",
    ("ngl", "_2D"): "0.158 19.2 0.702 7.49 0.0473 3.06 17.6 49.5 10.2 0.562 3.96 0.212 1 2.7 2.73 2.71 0.17",
    ("ngt", "_2D"): "0.121 0.925 2.99 10.4 2.88",
}
FAMILIES = {"cm": glcm, "rlm": glrlm, "szm": glszm, "ngl": ngldm, "ngt": ngtdm}
VOLUME = PHANTOM[PHANTOM > 0]
MERGING = {"_2D_avg": {"merging": "average"}, "_2D_comb": {"merging": "combine"}, "_2D": {}}


def by_slice(features):
    """Mean over slices of what ``features`` makes of one."""
    return np.mean([features(levels) for levels in PHANTOM], axis=0)


def found() -> dict[str, float]:
    """Our value of every IBSI tag."""
    values = {
        ("stat", ""): first_order.features(VOLUME.astype(np.float64)),
        ("ih", ""): histogram.features(VOLUME, LEVELS),
    }
    for family, suffix in CONSENSUS:
        if family in FAMILIES:
            module, options = FAMILIES[family], MERGING[suffix]
            values[family, suffix] = by_slice(lambda levels, m=module, o=options: m.features(levels, LEVELS, **o))
    named = {
        f"{family}_{tag}{suffix}": value
        for (family, suffix), row in values.items()
        for tag, value in zip(TAGS[family].split(), row, strict=True)
    }
    # The intensity histogram shares its first statistics with the grey levels; our levels are the phantom's.
    shared = zip(TAGS["stat"].split(), first_order.features(VOLUME.astype(np.float64)), strict=True)
    return named | {f"ih_{tag}": value for tag, value in shared if tag not in ("energy", "rms")}


def rounded_off(value: float) -> float:
    """Half a unit of the last of three significant digits, to which the consensus is printed."""
    return 0.5 * 10.0 ** (np.floor(np.log10(abs(value))) - 2)


def consensus() -> dict[str, float]:
    return {
        f"{family}_{tag}{suffix}": float(value)
        for (family, suffix), values in CONSENSUS.items()
        for tag, value in zip(TAGS[family].split(), values.split(), strict=True)
    }


@pytest.mark.parametrize(("tag", "expected"), consensus().items())
def test_the_phantom_has_the_consensus_value(tag, expected):
    assert found()[tag] == pytest.approx(expected, rel=0, abs=rounded_off(expected))


def test_so_it_does_from_slices_of_an_image_by_name():
    sources = [("glcm", "cm", "_2D_avg"), ("glrlm", "rlm", "_2D_avg"), ("glszm", "szm", "_2D")]
    sources += [("ngldm", "ngl", "_2D"), ("ngtdm", "ngt", "_2D")]
    expected = {
        f"{ours}.{name}": float(value)
        for ours, family, suffix in sources
        for name, value in zip(FAMILIES[family].NAMES, CONSENSUS[family, suffix].split(), strict=True)
    }
    binning = FixedBinWidth(width=1, minimum=1)
    # Outside the mask grey levels of 9, as the phantom has one there: they must not count.
    values = by_slice(lambda levels: radiomics(np.where(levels > 0, levels, 9), levels > 0, binning))
    checked = {name: value for name, value in zip(FEATURES, values, strict=True) if name in expected}
    assert len(checked) == 75
    for name, value in checked.items():
        assert value == pytest.approx(expected[name], rel=0, abs=rounded_off(expected[name])), name


def test_phantom_and_values_are_those_that_ibsi_gives_out(shared_data):
    sitk = pytest.importorskip("SimpleITK")
    folder = shared_data / "ibsi"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    image, mask = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{name}.nii.gz"))) for name in ("phantom", "mask")
    )
    np.testing.assert_array_equal(np.where(mask > 0, image, 0), PHANTOM)
    with (folder / "reference_values.csv").open() as file:
        table = {
            row[2]: (float(row[0]), float(row[1]))
            for row in csv.reader(file, delimiter=";")
            if row[2] != "tag" and row[0]
        }
    asked = {
        tag: limits
        for tag, limits in table.items()
        if tag.startswith(("stat_", "ih_"))
        or (tag.split("_")[0] in FAMILIES and tag.endswith(("_2D", "_2D_avg", "_2D_comb")))
    }
    ours = found()
    assert set(asked) == set(ours) and len(asked) == 161
    for tag, (value, tolerance) in asked.items():
        assert ours[tag] == pytest.approx(value, rel=0, abs=max(tolerance, rounded_off(value))), tag
    assert {tag: table[tag][0] for tag in consensus()} == consensus()
