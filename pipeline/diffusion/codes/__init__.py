"""Image codes: what the denoiser works on in the place of pixels, each with a way there and back."""
