"""A generator on disk, of whichever backend: the denoiser trained from scratch, or an adapted Stable Diffusion.

Both have ``image_size``, ``cell`` (pixels along a cell of the code's grid), ``structures``, ``sectors`` (polygons of
fields of view seen in training), ``licence``, ``makes_masks`` (whether ``render`` ignores the masks it is given),
``save`` and ``render``.
"""

from pathlib import Path

from pipeline.diffusion.denoiser.generator import load_generator


def open_generator(folder: Path, device):
    """The trained generator in ``folder``.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    if (folder / "stable_diffusion.json").exists():
        from pipeline.diffusion.stable_diffusion.generator import load_stable_diffusion

        return load_stable_diffusion(folder, device)
    return load_generator(folder, device)
