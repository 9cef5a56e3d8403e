"""The network of the package: golden values, and what is said where the package is missing or another."""

import numpy as np
import pytest
import torch
from skimage import data as pictures
from skimage.transform import resize

from pipeline.networks import lite0
from pipeline.run.errors import InputError


def test_it_knows_a_cat():
    """Class 281 to 285 of ImageNet are cats: names, order and normalisation are right."""
    image = resize(pictures.chelsea()[:, 75:375], (224, 224), anti_aliasing=True)
    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = lite0.lite0()((pixels - 0.5) / 0.5)
    assert 281 <= int(logits.argmax()) <= 285


@pytest.mark.parametrize(("change", "told"), [("absent", "is not installed"), ("other", "not the file that this")])
def test_another_package_is_refused(monkeypatch, tmp_path, change, told):
    folder = tmp_path / "other_package" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "efficientnet-lite0-57934424.pth").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lite0, "_PACKAGE", "no_such_package" if change == "absent" else "other_package")
    with pytest.raises(InputError, match=told):
        lite0.packaged_file()
