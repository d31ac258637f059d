"""The tables of a whole sampler, which its graphs only look up, against the loop."""

import numpy as np
import pytest

from conformance.write import AnalyticDenoiser, make_card
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.diffusion.transition import STATE
from kdiffusion.export.whole_sampler.tables import GRAPH_SAMPLERS, sampler_tables


@pytest.mark.parametrize("sampler", GRAPH_SAMPLERS)
def test_the_tables_lead_where_the_loop_leads(sampler):
    rows = np.random.default_rng(0).normal(0, 0.1, (5, 4)) * np.tri(5, 4, 1)
    card = make_card(
        make_schedule("cosine", 31), sampler=sampler, prediction_type="v",
        timesteps=(30, 20, 9, 4, 1), coefficients=rows, guidance_interval=(0.2, 4.0),
    )  # fmt: skip
    denoiser, tables = AnalyticDenoiser(card), sampler_tables(card)
    x, *remembered = [initial_latents([5], card.image_shape)] * (len(STATE) - 1)
    for i, t in enumerate(tables.timesteps):
        given = (np.float32(np.concatenate([x, x])), np.full(2, t), np.array([2, card.null_label]))
        conditional, unconditional = np.split(denoiser(*given), 2)
        w = tables.guides[i] * card.guidance_strength
        guided = conditional + w * (conditional - unconditional)
        x0 = np.clip(tables.estimate[i] @ [x.ravel(), guided.ravel()], -1, 1).reshape(x.shape)
        state = [x, x0, *remembered]
        corrected, x = (
            np.tensordot(table[i], state, 1) for table in (tables.corrected, tables.step)
        )
        remembered = [corrected, x0, *remembered[:-2]]
    expected = sample(AnalyticDenoiser(card), [2], [5], progress=False)
    np.testing.assert_allclose(np.clip(x, *tables.limits), expected, atol=1e-4)
