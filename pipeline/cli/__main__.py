"""``python -m pipeline.cli`` is ``asm-atlas``."""

import sys

from pipeline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
