"""Editing of videos through their latents: content, motion, time, text, real clips. Start with `latents`."""
