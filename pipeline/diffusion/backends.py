"""A generator on disk, of whichever backend: the mask-conditioned denoiser in pixels, or an adapted Stable Diffusion.

Both have ``image_size``, ``structures``, ``sectors`` (polygons of fields of view seen in training), ``licence``,
``makes_masks`` (whether ``render`` ignores the masks it is given), ``save`` and ``render``.
"""

from pathlib import Path

from pipeline.diffusion.pixel.generator import load_generator


def open_generator(folder: Path, device):
    """The trained generator in ``folder``.

    Raises:
        InputError: no generator there, or a damaged one.
    """
    if (folder / "latent.json").exists():
        from pipeline.diffusion.latent.generator import load_latent

        return load_latent(folder, device)
    return load_generator(folder, device)
