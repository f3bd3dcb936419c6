"""`vigia model`: train, evaluate, choose and roll out the image model's versions."""
