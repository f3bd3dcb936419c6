"""`vigia bench`: the pipeline's throughput beside the bare model loop, and how soon an emergency reaches people."""
