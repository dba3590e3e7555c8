"""Reading and writing of video and image files; the only folder that imports PyAV."""
