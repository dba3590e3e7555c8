"""The operators of StyleGAN2's image networks, as pure functions that differentiate twice."""

from styleganv.nn.activation import UNIT_GAIN, bias_act, leaky_relu, leaky_relu_
from styleganv.nn.convolution import convolve, in_phases, phases
from styleganv.nn.modulated_conv import demodulation, fewer_elements, modulated_conv2d, modulated_kernel, squared
from styleganv.nn.resample import fir_filter2d, upsample2d

__all__ = [
    "UNIT_GAIN",
    "bias_act",
    "convolve",
    "demodulation",
    "fewer_elements",
    "fir_filter2d",
    "in_phases",
    "leaky_relu",
    "leaky_relu_",
    "modulated_conv2d",
    "modulated_kernel",
    "phases",
    "squared",
    "upsample2d",
]
