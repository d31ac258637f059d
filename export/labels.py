"""From what a user types for a class to its label."""


def labels_from_text(texts, class_names):
    """Reads class names, label numbers and `all`.

    A name comes before a number: where classes are called "3" and "5", 3 is that name.

    Args:
        texts: strings, each `all`, a class name (capitals do not matter) or a label.
        class_names: strings; label i is `class_names[i]`.

    Returns:
        list of ints, in the order given.

    Raises:
        ValueError: nothing given, or a text that is none of these.
    """
    by_name = {name.casefold(): label for label, name in enumerate(class_names)}
    by_number = {str(label): label for label in range(len(class_names))}
    labels = []
    for text in texts:
        if text.casefold() in by_name:
            labels.append(by_name[text.casefold()])
        elif text in by_number:
            labels.append(by_number[text])
        elif text == "all":
            labels.extend(range(len(class_names)))
        else:
            raise ValueError(
                f"`labels` must be `all`, numbers in [0, {len(class_names) - 1}] or some of "
                f"{list(class_names)}. Received: {text!r}"
            )
    if not labels:
        raise ValueError("`labels` must name at least one class. Received: none")
    return labels
