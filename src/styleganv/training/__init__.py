"""Training: losses, augmentation, the four updates of a GAN, the loop, checkpoints and reports."""
