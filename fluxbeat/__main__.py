"""`python -m fluxbeat` is `fluxbeat`."""

import sys

from fluxbeat.cli import main

if __name__ == "__main__":
    sys.exit(main())
