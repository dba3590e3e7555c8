"""The studio: a page in the browser on which a model's videos play without an end and can be steered."""
