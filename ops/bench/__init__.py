"""`vigia bench`: what the pipeline costs beside the bare model loop, and how soon an emergency reaches people."""
