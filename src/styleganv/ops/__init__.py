"""The operators of StyleGAN2's image networks, as pure functions that differentiate twice."""

from styleganv.ops.activation import bias_act
from styleganv.ops.modulated_conv import demodulation, modulated_conv2d
from styleganv.ops.resample import fir_filter2d, upsample2d

__all__ = ["bias_act", "demodulation", "fir_filter2d", "modulated_conv2d", "upsample2d"]
