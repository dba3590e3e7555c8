"""Datasets: preparation from videos, the dataset file, sampling of clips, inspection."""
