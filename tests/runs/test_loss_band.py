import json
import types

import pytest

from kdiffusion.runs.callbacks import StopAtNonFinite
from kdiffusion.runs.loss_band import LossBand


def _after(losses, band=None):
    band = band or LossBand()
    for step, loss in enumerate(losses, start=1):
        band.update(step, loss)
    return band


def test_a_loss_that_falls_and_wavers_stays_in_its_band():
    band = _after([1.0 / step + 0.1 * (step % 2) for step in range(1, 200)])
    assert band.left_at is None
    # Weights that gave a finite loss are good; those whose next loss is none may not be.
    assert band.last_good_step(200) == 198


def test_the_floor_is_an_average_over_some_steps():
    band = _after([1.0] * 50 + [0.001] + [1.0] * 50)
    assert band.lowest == pytest.approx(1.0 - 0.999 / 20)
    assert band.left_at is None


def test_the_step_that_leaves_is_known_and_the_weights_before_the_step_before_it_are_good():
    band = _after([1.0] * 10 + [2.9, 3.5, 100.0, 1e30])
    assert band.left_at == 12
    assert band.last_good_step(15) == 10


@pytest.mark.parametrize("done", [0, 3])
def test_of_three_steps_in_one_call_the_first_may_have_left(tiny_model, done):
    """A fresh epoch, and one that goes on after its first call."""
    model, band = tiny_model(), LossBand()
    watch = StopAtNonFinite(types.SimpleNamespace(band=band), steps_per_epoch=12)
    watch.set_model(model)
    model.step.assign(done)
    model.metrics[0].total.assign([0.0, 3.0, 0.0, 0.0])
    model.metrics[0].count.assign([0.0, 3.0, 0.0, 0.0])
    watch.on_epoch_begin(0)
    for step, mean in ((3, 1.0), (6, 1.0), (9, 4.0)):  # the last three have a loss of 10
        if step > done:
            model.step.assign(step)
            watch.on_train_batch_end(step, {"loss": mean, "gradient_norm": 1.0})
    assert band.lowest == pytest.approx(1.0)
    assert band.left_at == 7
    # The weights of step 6 gave step 7 its loss; a call made those of steps 4, 5 and 6.
    assert band.last_good_step(9) == 5


def test_a_loss_that_comes_back_is_in_its_band_again():
    assert _after([1.0] * 10 + [5.0, 5.0, 1.0]).left_at is None


def test_steps_beyond_do_not_widen_the_band():
    assert _after([1.0] + [10.0] * 1000).limit == 3.0


def test_it_goes_on_from_its_record():
    losses = [1.0, 0.9, 0.5, 7.0]
    record = json.loads(json.dumps(_after(losses).to_record()))
    assert LossBand(**record).to_record() == _after(losses).to_record()
    assert LossBand(**record).left_at == 4
