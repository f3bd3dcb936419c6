"""`python -m ops` is `vigia`, and the console script is this `main`."""

import sys

from ops.system import stopping


def main() -> None:
    """Listen for signals first; only then import the command line."""
    stopping.listen(sys.argv[1:])
    from ops.cli import main as run

    run()


if __name__ == "__main__":
    main()
