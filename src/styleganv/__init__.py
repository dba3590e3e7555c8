"""styleganv: videos as signals continuous in time (StyleGAN-V), in plain PyTorch."""

__version__ = "0.1.0"
