import json

import pytest

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


def test_a_loss_that_comes_back_is_in_its_band_again():
    assert _after([1.0] * 10 + [5.0, 5.0, 1.0]).left_at is None


def test_steps_beyond_do_not_widen_the_band():
    assert _after([1.0] + [10.0] * 1000).limit == 3.0


def test_it_goes_on_from_its_record():
    losses = [1.0, 0.9, 0.5, 7.0]
    record = json.loads(json.dumps(_after(losses).to_record()))
    assert LossBand(**record).to_record() == _after(losses).to_record()
    assert LossBand(**record).left_at == 4
