"""Weights in and out: released checkpoints, ONNX and exported programs, the hub."""
