"""The commands: `python -m kdiffusion COMMAND`.

A command is a row here and a function in a module, which is imported when the command is called.
The function's parameters are the options, and its docstring is the help; one called `run` takes the
arguments and the program's name, and reads its command line itself. A part's command lies in the
part's own folder. No command imports another.
"""

# Name: (module of `kdiffusion`:function, one line of help). The help shows the first five first.
COMMANDS = {
    "sample": ("commands.sample:sample", "sample one image, a grid by class, or a film"),
    "train": ("commands.train:run", "train a model, export it, and sample from the exported file"),
    "export": ("commands.export:export", "export a run's averaged network to files"),
    "evaluate": ("parts.evaluation.command:main", "measure how good sampled images are"),
    "models": ("commands.sample:models", "list the pretrained models"),
    "sample_many": ("parts.many_images:main", "sample many images into files"),
    "interpolate": ("commands.edit:interpolate", "interpolate seeds, classes or images"),
    "image_to_image": ("commands.edit:image_to_image", "turn an image into one of another class"),
    "inpaint": ("commands.edit:inpaint", "fill in the masked part of an image"),
    "upsample": ("commands.edit:upsample", "make an image larger"),
    "fit_sampler": ("commands.fit_sampler:main", "fit a sampler of few steps to a model"),
    "export_sampler": ("commands.export:export_sampler", "export a whole sampler as one graph"),
    "import": ("parts.diffusers.reader:main", "import a diffusers model, to sample or train from"),
    "pack": ("parts.packing.pack:pack", "pack a data set of any size for training from disk"),
    "hub": ("parts.hub.publish:main", "make a folder for the Hugging Face Hub"),
    "web": ("parts.web:main", "make a page that samples in the browser"),
}

# What parts do as `train` trains: the `make_callbacks` of `runs.train`.
CALLBACKS = {
    "evaluation": "parts.evaluation.in_training:make_callback",
}
