"""``python -m noise2mask``, where the command itself is not installed."""

import sys

from noise2mask.cli import main

if __name__ == "__main__":  # processes that a reference starts import this file again
    sys.exit(main())
