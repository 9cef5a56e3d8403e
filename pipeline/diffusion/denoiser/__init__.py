"""The generator that is trained from scratch: a denoiser of image codes."""
