"""Training the image model: from pictures to a sealed version."""
