"""Comparison of methods and ablations trained on the same data for the same time."""
