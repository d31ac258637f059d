"""The labels that drawn images have in turn, so that their classes are shared as the real ones'."""

import numpy as np

MOST_TURNS = 100_000  # after which unequal shares begin again: each file of images keeps them
ALIKE = 1.1  # a largest class of so many times the smallest is of equal shares


def labels_in_turn(counts: np.ndarray) -> list[int]:
    """Labels to be drawn one after another, and again from the first.

    Distances between drawn and real images see the shares of classes, too. Where the real classes
    are nearly alike, each is drawn as often; else as often as there are real images of it, and any
    beginning of the turns is within an image of that. They depend on the real images alone, not on
    how many are drawn.

    Args:
        counts: int array `[C]`. How many of the real images each class has.

    Returns:
        list of int: C of them; or as many as real images, which have the very shares, but at most
        `MOST_TURNS`.
    """
    if counts.min() > 0 and counts.max() <= ALIKE * counts.min():
        return list(range(len(counts)))
    shares, drawn, turns = counts / counts.sum(), np.zeros(len(counts)), []
    for turn in range(min(counts.sum(), MOST_TURNS)):
        turns.append(int(np.argmax((turn + 1) * shares - drawn)))
        drawn[turns[-1]] += 1
    return turns
