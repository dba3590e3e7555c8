"""StyleGAN-V, its ablations and the systems it is compared with, on the same data in the same time."""
