"""From what a user types for a class to its label, and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

ALL_CLASSES = "all"
NO_CLASS = "none"


def labels_from_text(texts: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Reads class names, label numbers, `all` and `none`.

    A name comes before a number: where classes are called "3" and "5", 3 is that name.

    Args:
        texts: strings, each `all`, `none` (the label for no class), a class name (capitals matter
            only between classes that differ in nothing else) or a label.
        class_names: strings; label i is `class_names[i]`.

    Returns:
        list of ints, in the order given.
    """
    labels_of = {str(label): label for label in range(len(class_names))}
    labels_of |= {_folded(name): label for label, name in enumerate(class_names)}
    labels_of |= {name: label for label, name in enumerate(class_names)}
    labels_of[NO_CLASS] = len(class_names)
    labels = []
    for text in texts:
        if text == ALL_CLASSES:
            labels.extend(range(len(class_names)))
        elif text in labels_of or _folded(text) in labels_of:
            labels.append(labels_of.get(text, labels_of.get(_folded(text))))
        else:
            raise ValueError(
                f"`labels` must be `all`, `{NO_CLASS}`, numbers in [0, {len(class_names) - 1}] or "
                f"some of {list(class_names)}. Received: {text!r}"
            )
    return labels


def _folded(name):
    """A name without capitals, its accents stored in one way."""
    return unicodedata.normalize("NFC", name).casefold()


def label_names(labels: Sequence[int], class_names: Sequence[str]) -> list[str]:
    """What the labels are called; the one for no class is `none`."""
    return [(*class_names, NO_CLASS)[label] for label in labels]
