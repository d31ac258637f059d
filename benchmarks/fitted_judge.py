"""Whether an image shows what was asked for: a classifier that was fitted to the real ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def fit_judge(
    images: np.ndarray, labels: np.ndarray, features: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray, np.ndarray], float]:
    """A support vector machine with a Gaussian kernel (Cortes & Vapnik 1995) on some features.

    Args:
        images: uint8 array `[N, H, W, C]` of real images.
        labels: int array `[N]`.
        features: function of images that gives float64 `[N, D]`, such as `FEATURES` give.

    Returns:
        A function of (uint8 images `[M, H, W, C]`, int labels `[M]`) that gives the share, 0 .. 1,
        of the images that are judged to be of the label beside them.
    """
    # Here and not above: scikit-learn takes a second to import.
    from sklearn.svm import SVC

    classifier = SVC(C=10.0, gamma="scale").fit(features(images), labels)

    def share_as_asked(images, labels):
        return float(np.mean(classifier.predict(features(images)) == np.asarray(labels)))

    return share_as_asked
