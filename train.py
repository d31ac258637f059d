"""Trains a model from a preset: `python -m kdiffusion train`, in a checkout."""

import sys

from kdiffusion.__main__ import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
