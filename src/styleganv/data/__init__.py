"""Video in: find and decode sources, prepare them into one zip, read clips back."""
