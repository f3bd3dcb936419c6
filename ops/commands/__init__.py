"""One file per verb of the `vigia` command line."""
