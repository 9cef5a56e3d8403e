"""Mask-conditioned diffusion: conditioning, preconditioned denoiser, sampler, masks to sample from."""
