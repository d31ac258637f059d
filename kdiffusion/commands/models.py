"""`python -m kdiffusion models`: the pretrained models, which other commands take by name."""

from kdiffusion.artifacts import load_denoiser, released_models


def main() -> None:
    """Lists the pretrained models: name, image size, data set and classes."""
    for name in released_models():
        card = load_denoiser(name).card
        height, width, _ = card.image_shape
        names = ", ".join(card.class_names)
        print(f"{name:12} {width}x{height} pixels, trained on {card.dataset}: {names}")
