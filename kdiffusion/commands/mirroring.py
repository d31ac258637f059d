"""Whether a mirror image shows the same class, as commands ask it of one who has images."""

from typing import Literal

Mirroring = Literal["auto", "yes", "no"]

# What the functions take; None is what is known of the data set.
HORIZONTAL_FLIP: dict[Mirroring, bool | None] = {"auto": None, "yes": True, "no": False}
