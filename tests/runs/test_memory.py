"""What a run does each epoch leaves no memory behind."""

import ctypes
import gc

import pytest
from scipy.stats import theilslopes

from kdiffusion.runs import fit as fit_module
from kdiffusion.runs import train

C_LIBRARY = ctypes.CDLL(None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(C_LIBRARY, "mallinfo2"), reason="needs glibc's mallinfo2"),
]

WARM_EPOCHS, EPOCHS = 15, 30
# The history of the run and the like. A reading also wavers by some 70 KB, and once in a while a
# library makes a thing of 100 KB for good, so it is the slope over all pairs. TensorBoard's scalars
# as Python numbers left 36,000 here, an iterator for each validation 100,000, a network traced
# for each preview 8,000,000.
MOST_BYTES_AN_EPOCH = 8_000


class _MallInfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _bytes_in_use():
    """What malloc gave and has not got back; the resident memory wavers more than a run leaks."""
    gc.collect()
    C_LIBRARY.mallinfo2.restype = _MallInfo2
    info = C_LIBRARY.mallinfo2()
    return info.uordblks + info.hblkhd


def test_an_epoch_with_all_that_is_written_at_its_end_leaves_nothing_behind(
    tiny, tmp_path, monkeypatch
):
    in_use = []
    gc.freeze()  # what tests before left is looked through at each epoch else

    class Watch(fit_module.StopAtNonFinite):
        def on_epoch_end(self, epoch, logs=None):
            in_use.append(_bytes_in_use())

    monkeypatch.setattr(fit_module, "StopAtNonFinite", Watch)
    train(
        tiny(
            optimizer={"epochs": EPOCHS},
            run={"sample_every_epochs": 1, "checkpoint_every_epochs": 1, "log_every_steps": 1},
        ),
        tmp_path,
    )
    gc.unfreeze()
    slope, *_ = theilslopes(in_use[WARM_EPOCHS - 1 :])
    assert slope <= MOST_BYTES_AN_EPOCH, in_use
