"""How videos move: reversal, loops, drift and more, measured clip by clip, with pictures and a page."""
