"""In a checkout, the folder `export/` at its top under the name that it has when installed.

One name, so that no module of it is ever loaded twice. A wheel holds that folder in this place.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "export")]
