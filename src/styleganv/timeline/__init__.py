"""Timelines: videos whose content, motion, edits and speed change over time, from keyframes in a project file.

project file, page ──notation──▶ VideoParams, Timeline ──scene──▶ frames from any time on ──render──▶ video file
"""
