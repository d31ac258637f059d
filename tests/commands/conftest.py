import pytest

from kdiffusion.commands.train import parse
from kdiffusion.runs.run_directory import RunDirectory


@pytest.fixture
def begun(tmp_path):
    """The folder of a run of `cifar10_large` that was begun with settings of its own."""
    options = "--optimizer.epochs 7 --diffusion.schedule cosine --data.name digits"
    command = parse(["cifar10_large", *options.split()])
    directory = RunDirectory(tmp_path / "begun", command.config, (8, 8, 1), ("0", "1"), 5)
    directory.write()
    return directory
