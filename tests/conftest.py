"""What every test shares: no TensorFlow notices, and no GPU surprises."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
