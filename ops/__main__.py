"""`python -m ops` is `vigia`."""

from ops.cli import main

main()
