"""Training the image model: from pictures to a sealed version."""

import os

# TensorFlow's C++ side writes dozens of lines about itself to stderr, over the progress that a person watches.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
