"""Writing: the averaged network of a run, with its card, into files. It needs TensorFlow and Keras.

Its import name is `kdiffusion.export`, in a checkout as installed. Importing it imports no runtime.
"""
