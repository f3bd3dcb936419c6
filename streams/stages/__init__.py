"""The stages of the pipeline, one folder each: `stage.py` decides, `build.py` makes it from settings."""
