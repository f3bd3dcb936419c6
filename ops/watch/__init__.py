"""`vigia watch`: which cases wait, where and for how long, on a terminal; all of it read from broker and registry."""
