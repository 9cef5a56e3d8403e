"""Cohorts as their publishers pack them, of any size, with speckle in the place of patients."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

HC18_TABLE = "training_set_pixel_size_and_HC.csv"


class Speckle:
    """Images that do not resemble each other, quickly: ``image(i)`` is uint8 of the given (height, width)."""

    def __init__(self, height: int, width: int):
        self.shape = height, width
        rng = np.random.default_rng(0)
        self._fine = rng.rayleigh(30, (height + 64, width + 64)).astype(np.float32)
        self._fine += 8 * ndimage.gaussian_filter(self._fine - self._fine.mean(), 1)

    def image(self, i: int) -> np.ndarray:
        rng = np.random.default_rng(i)
        top, left = rng.integers(0, 64, 2)
        coarse = Image.fromarray(rng.uniform(20, 110, (9, 12)).astype(np.float32)).resize(self.shape[::-1], 3)
        fine = self._fine[top : top + self.shape[0], left : left + self.shape[1]]
        return np.clip(fine + np.asarray(coarse), 0, 255).astype(np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def disc(height: int, width: int, a: float, b: float) -> np.ndarray:
    """Squared distance from the centre in units of the semi-axes, (height, width)."""
    rows, columns = np.ogrid[:height, :width]
    return ((columns - width / 2) / a) ** 2 + ((rows - height / 2) / b) ** 2


def spanish(root: Path, count: int, size=(661, 959), shared=True) -> Path:
    """``count`` images of one to six a patient, unpacked. With ``shared`` one image is under two patients, and
    fourteen are repeated within theirs.
    """
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    speckle, inside = Speckle(*size), disc(*size, size[1] / 3, size[0] / 3)
    mask = np.zeros((*size, 3), np.uint8)
    mask[inside <= 1] = (255, 0, 0)
    mask[inside <= 0.02] = (0, 255, 0)
    painted, names, patient = png(mask), [], 0
    while len(names) < count:
        patient += 1
        of = min(1 + patient % 6, count - len(names))
        names += [f"Patient{patient:05d}_Plane3_{k + 1}_of_{of}" for k in range(of)]
    source = dict(zip(names, names, strict=True))
    if shared:
        several = [k for k, name in enumerate(names) if "_2_of_" in name]
        source |= {names[k]: names[k - 1] for k in several[:14]}
        alone = [name for name in names if name.endswith("_1_of_1")]
        source[alone[1]] = alone[0]
    for i, name in enumerate(names):
        if source[name] == name:
            (root / "images" / f"{name}.png").write_bytes(png(np.repeat(speckle.image(i)[..., None], 3, 2)))
        else:
            (root / "images" / f"{name}.png").write_bytes((root / "images" / f"{source[name]}.png").read_bytes())
        (root / "masks" / f"{name}.png").write_bytes(painted)
    return root


def hc18(root: Path, count: int, size=(540, 800)) -> Path:
    """A zip of images and outlines, the table beside it."""
    root.mkdir(parents=True)
    speckle, a, b = Speckle(*size), size[1] / 4, size[0] / 4
    edge = np.abs(np.sqrt(disc(*size, a, b)) - 1) * min(a, b)
    outline = png(np.where(edge <= 1.2, 255, 0).astype(np.uint8))
    around = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    with zipfile.ZipFile(root / "training_set.zip", "w") as archive, (root / HC18_TABLE).open("w") as table:
        table.write("filename,pixel size(mm),head circumference (mm)\n")
        for i in range(count):
            patient, which = 4 * (i // 5) + min(i % 5, 3), "2" if i % 5 == 4 else ""
            name, pixel = f"{patient:03d}_{which}HC", 0.1 + i % 40 / 200
            archive.writestr(f"training_set/{name}.png", png(speckle.image(i)))
            archive.writestr(f"training_set/{name}_Annotation.png", outline)
            table.write(f"{name}.png,{pixel},{around * pixel:.2f}\n")
    return root


def psfhs(root: Path, count: int, run=12) -> Path:
    """A zip of MetaImages: runs of neighbouring frames of one woman each."""
    root.mkdir(parents=True)
    speckle = Speckle(256, 256)
    label = np.zeros((256, 256), np.uint8)
    label[disc(256, 256, 70, 60) <= 1] = 2
    label[60:90, 20:60] = 1
    with zipfile.ZipFile(root / "PSFHS.zip", "w") as archive:
        for i, image in enumerate(frames(speckle, count, run)):
            name = f"{3744 + i:05d}.mha"
            archive.writestr(f"PSFHS/image_mha/{name}", mha(np.stack([image] * 3)))
            archive.writestr(f"PSFHS/label_mha/{name}", mha(label))
    return root


def frames(speckle: Speckle, count: int, run: int) -> Iterator[np.ndarray]:
    for i in range(count):
        still, moved = (speckle.image(k).astype(float) for k in (i // run, 10_000 + i))
        yield np.clip(0.87 * still + 0.13 * moved, 0, 255).astype(np.uint8)


def mha(array: np.ndarray) -> bytes:
    depth = "".join(f"{length} " for length in array.shape[::-1])
    header = (
        f"ObjectType = Image\nNDims = {array.ndim}\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = False\nDimSize = {depth.strip()}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    return header.encode() + array.tobytes()


def african(root: Path, count: int, others: int) -> Path:
    """A tar.xz of folders by country, with ``others`` planes that show no head."""
    root.mkdir(parents=True)
    countries = {"Algeria": "DZA", "Egypt": "EGY", "Ghana": "GHA", "Malawi": "MWI", "Uganda": "UGA"}
    speckle = Speckle(450, 400)
    with tarfile.open(root / "Zenodo_dataset.tar.xz", "w:xz", preset=0) as archive:
        for i in range(count + others):
            country, code = list(countries.items())[i % 5]
            plane = 1 if i < count else 2 + i % 3
            data = png(speckle.image(i))
            info = tarfile.TarInfo(f"Zenodo_dataset/{country}/patient{i // 5:03d}_{code}_plane{plane}.png")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return root
