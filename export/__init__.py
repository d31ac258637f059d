"""Writing: the averaged network of a run, with its card, into files. It needs TensorFlow and Keras.

Its import name is `kdiffusion.export`, in a checkout as installed; `import export`, where this
folder is on the path, gives the same modules. Importing it imports no runtime.
"""

import sys

from kdiffusion.export.diffusers_import import import_diffusers
from kdiffusion.export.diffusers_writer import export_diffusers
from kdiffusion.export.formats import FORMATS, export_network, export_run

__all__ = [
    "FORMATS",
    "export_diffusers",
    "export_network",
    "export_run",
    "import_diffusers",
]

if __name__ == "export":
    from kdiffusion.export.former_names import FormerNames

    sys.meta_path.insert(0, FormerNames)
