"""Change videos of a model through its latents: what is seen, how it moves, a text, a real clip. See `latents`."""
