"""kdiffusion: class-conditional denoising diffusion, trained with Keras, sampled anywhere.

Names are loaded when they are first used: `__init__.pyi` lists them. Importing kdiffusion, or
sampling from an exported file, needs neither TensorFlow nor Keras.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
