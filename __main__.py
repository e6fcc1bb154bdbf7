"""``python -m modalmix``: the same as the command ``modalmix``."""

import sys

from .builders.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
