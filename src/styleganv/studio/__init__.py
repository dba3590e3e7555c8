"""The studio: a browser page that plays the endless videos of a model and lets the user explore and edit them."""
