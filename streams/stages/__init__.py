"""The stages of the pipeline, a folder each: `stage.py` decides, `build.py` makes it from settings."""
