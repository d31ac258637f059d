"""The commands: `python -m kdiffusion COMMAND`.

A command is a row here and a module, which is imported when the command is called. The module has
`main`, a function whose parameters are the options and whose docstring is the help; or
`run(arguments, program)`, if it reads its command line itself. A part's command lies in the part's
own folder. No command imports another.
"""

# Name: (module, one line of help).
COMMANDS = {
    "train": (
        "kdiffusion.commands.train",
        "train a model, export it, and draw with the exported file",
    ),
    "export": ("kdiffusion.commands.export", "write a run's averaged network into files"),
    "import": (
        "kdiffusion.commands.import",
        "read a model of diffusers, to draw, export or train from",
    ),
    "export_diffusers": (
        "kdiffusion.commands.export_diffusers",
        "write a network as a folder that diffusers reads",
    ),
    "export_sampler": (
        "kdiffusion.commands.export_sampler",
        "write the whole sampler of a run as one graph, loop and all",
    ),
    "sample": (
        "kdiffusion.commands.sample",
        "draw one image, a grid by class, or a folder of many",
    ),
    "interpolate": ("kdiffusion.commands.interpolate", "walk between two seeds, classes or images"),
    "image_to_image": ("kdiffusion.commands.image_to_image", "redraw an image from a noise level"),
    "inpaint": ("kdiffusion.commands.inpaint", "redraw what a mask marks"),
    "film": ("kdiffusion.commands.film", "show how an image appears out of the noise"),
    "evaluate": ("kdiffusion.commands.evaluate", "measure how good drawn images are"),
    "likelihood": (
        "kdiffusion.commands.likelihood",
        "bound the bits per dimension of held-out images",
    ),
    "pack": ("kdiffusion.commands.pack", "put a data set of any size on the disk for training"),
    "hub": ("kdiffusion.commands.hub", "make a folder for the Hugging Face Hub, and upload it"),
    "web": ("kdiffusion.commands.web", "make a page that draws in the browser"),
}
