"""`vigia watch`: who waits, where and how long, at a terminal; read from the broker alone."""
