"""Judging videos: distances between sets of them (`evaluate`), and what their motion does (`diagnose`).

Everything here takes `Videos` and never asks which program made them.
"""
