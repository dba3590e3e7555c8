"""Video and image files in and out: the only folder that knows PyAV."""
