"""``python -m yas3fs`` is the command ``yas3fs``."""

import sys

from yas3fs.cli.yas3fs import main

if __name__ == "__main__":
    sys.exit(main())
