"""What every test shares: no TensorFlow notices, and programs that may be missing."""

import os
import shutil

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def find_program():
    """`find_program("node", "Node.js")`: its path; without it the test skips.

    A fresh machine may lack what pip can't install. The one that guards main sets CI: there the
    test fails.
    """

    def find(name, what):
        path = shutil.which(name)
        if path is None:
            missing = f"needs {what}: `{name}` was not found on the PATH"
            if os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)
        return path

    return find
