"""The commands: `python -m kdiffusion COMMAND`.

A command is a row here and a module, which is imported when the command is called. The module has
`main`, a function whose parameters are the options and whose docstring is the help; or
`run(arguments, program)`, if it reads its command line itself. A part's command lies in the part's
own folder. No command imports another.
"""

# Name: (module, one line of help). The help shows the first five above the others.
COMMANDS = {
    "sample": ("kdiffusion.commands.sample", "sample one image, or a grid by class"),
    "train": (
        "kdiffusion.commands.train",
        "train a model, export it, and sample from the exported file",
    ),
    "export": ("kdiffusion.commands.export", "export a run's averaged network to files"),
    "evaluate": ("kdiffusion.evaluation.command", "measure how good sampled images are"),
    "models": ("kdiffusion.commands.models", "list the pretrained models"),
    "sample_many": ("kdiffusion.many_images.command", "sample many images into files"),
    "interpolate": ("kdiffusion.commands.interpolate", "interpolate seeds, classes or images"),
    "image_to_image": (
        "kdiffusion.commands.image_to_image",
        "turn an image into one of another class",
    ),
    "inpaint": ("kdiffusion.commands.inpaint", "fill in the masked part of an image"),
    "film": ("kdiffusion.commands.film", "show how images appear out of noise"),
    "likelihood": (
        "kdiffusion.commands.likelihood",
        "bound the bits per dimension of held-out images",
    ),
    "fit_sampler": (
        "kdiffusion.commands.fit_sampler",
        "fit a sampler of few steps to a model",
    ),
    "export_sampler": (
        "kdiffusion.commands.export_sampler",
        "export a whole sampler as one graph",
    ),
    "import": (
        "kdiffusion.diffusers.reader",
        "import a diffusers model, to sample, export or train from",
    ),
    "export_diffusers": (
        "kdiffusion.diffusers.writer",
        "export a network as a diffusers model",
    ),
    "pack": ("kdiffusion.packing.pack", "pack a data set of any size for training from disk"),
    "hub": ("kdiffusion.hub.publish", "make a folder for the Hugging Face Hub, and upload it"),
    "web": ("kdiffusion.web.site", "make a page that samples in the browser"),
}
