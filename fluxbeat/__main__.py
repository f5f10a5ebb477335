"""`python -m fluxbeat` is `fluxbeat`."""

import sys

from fluxbeat.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
