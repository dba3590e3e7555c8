"""Distances between real and generated videos: protocols, features, statistics, and the report."""
