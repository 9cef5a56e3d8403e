"""The training loop and augmentation."""
