"""Operators of StyleGAN2's networks as pure functions that are differentiable twice."""

from styleganv.nn.activation import UNIT_GAIN, bias_act, leaky_relu, leaky_relu_
from styleganv.nn.convolution import convolve, prefers_phases, split_phases
from styleganv.nn.modulated_conv import (
    compute_demodulation,
    modulate_kernel,
    modulated_conv2d,
    prefers_single_clips,
    sum_squares,
)
from styleganv.nn.resample import fir_filter2d, fir_kernel, upsample2d

__all__ = [
    "UNIT_GAIN",
    "bias_act",
    "compute_demodulation",
    "convolve",
    "fir_filter2d",
    "fir_kernel",
    "leaky_relu",
    "leaky_relu_",
    "modulate_kernel",
    "modulated_conv2d",
    "prefers_phases",
    "prefers_single_clips",
    "split_phases",
    "sum_squares",
    "upsample2d",
]
