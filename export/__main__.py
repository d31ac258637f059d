"""`python -m export RUN_DIR` in a checkout: `python -m kdiffusion export RUN_DIR`."""

import sys

from kdiffusion.__main__ import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
