"""The commands: `python -m kdiffusion COMMAND`. One is a module of its name and a row here.

A module offers `main`, a function whose parameters are the options and whose docstring is the
help, or `run(arguments, program)` if it reads its command line by itself. No command imports
another: what several need is in the modules that have no row.
"""

# Name ► what `python -m kdiffusion` says of it.
COMMANDS = {
    "train": "train a model, export it, and draw with the exported file",
    "export": "write a run's averaged network into files",
    "import": "read a model of diffusers, to draw, export or train from",
    "export_diffusers": "write a network as a folder that diffusers reads",
    "export_sampler": "write the whole sampler of a run as one graph, loop and all",
    "sample": "draw one image, a grid by class, or a folder of many",
    "interpolate": "walk between two seeds, classes or images",
    "image_to_image": "redraw an image from a noise level",
    "inpaint": "redraw what a mask marks",
    "film": "show how an image appears out of the noise",
    "evaluate": "measure how good drawn images are",
    "likelihood": "bound the bits per dimension of held-out images",
    "train_judge": "train a classifier that reads what drawn images show",
    "pack": "put a data set of any size on the disk for training",
    "hub": "make a folder for the Hugging Face Hub, and upload it",
    "web": "make a page that draws in the browser",
}
