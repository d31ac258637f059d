"""From what a user types for a class to its label, and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

ALL_CLASSES = "all"
NO_CLASS = "none"


def labels_from_text(texts: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Reads class names, label numbers, `all` and `none`.

    `all` and `none` mean that whatever the classes are called; a class of such a name has its
    number. A name comes before a number: where classes are called "3" and "5", 3 is that name.

    Args:
        texts: strings, each `all`, `none` (the label for no class), a class name (capitals, and how
            accents are stored, matter only between classes that differ in nothing else) or a label.
        class_names: strings; label i is `class_names[i]`.

    Returns:
        list of ints, in the order given.

    Raises:
        ValueError: nothing given, or a text that is none of these, or could be several.
    """
    by_name = {name: label for label, name in enumerate(class_names)}
    by_number = {str(label): label for label in range(len(class_names))}
    labels = []
    for text in texts:
        alike = [name for name in class_names if _folded(name) == _folded(text)]
        if text == ALL_CLASSES:
            labels.extend(range(len(class_names)))
        elif text == NO_CLASS:
            labels.append(len(class_names))
        elif text in by_name:
            labels.append(by_name[text])
        elif len(alike) == 1:
            labels.append(by_name[alike[0]])
        elif alike:
            raise ValueError(
                f"`labels` must tell capitals apart between {', '.join(alike)}. Received: {text!r}"
            )
        elif text in by_number:
            labels.append(by_number[text])
        else:
            raise ValueError(
                f"`labels` must be `all`, `{NO_CLASS}`, numbers in [0, {len(class_names) - 1}] or "
                f"some of {list(class_names)}. Received: {text!r}"
            )
    if not labels:
        raise ValueError("`labels` must name at least one class. Received: none")
    return labels


def _folded(name):
    """A name without what doesn't show, such as how accents are stored, and without capitals."""
    return unicodedata.normalize("NFC", name).casefold()


def label_names(labels: Sequence[int], class_names: Sequence[str]) -> list[str]:
    """What the labels are called; the one for no class is `none`.

    Args:
        labels: ints, each of a class or `len(class_names)`.
        class_names: strings.

    Returns:
        list of str.
    """
    return [(*class_names, NO_CLASS)[label] for label in labels]
