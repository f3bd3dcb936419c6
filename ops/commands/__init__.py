"""One file a verb of the `vigia` command line."""
