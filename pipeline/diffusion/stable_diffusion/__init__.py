"""A pretrained Stable Diffusion, adapted."""
