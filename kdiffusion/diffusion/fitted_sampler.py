"""Fits a linear multistep sampler to a model: nearly its images in fewer steps, without training.

A step of the sampler `fitted` is DDIM + c0 x + c1 D_k + c2 D_{k-1} + c3 D_{k-2}, where D_k is the
guided, clipped guess of the clean image. The four numbers of a step come from ridge least squares
against a fine trajectory from the same noise, along the sampler's own path, so that a step mends
the errors of those before. Timesteps are chosen as in GITS (Chen et al. 2024, arXiv 2405.11326), by
dynamic programming over the errors of single DDIM steps on the fine trajectory.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.conditions import Asked, check_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.higher_order_samplers import first_order
from kdiffusion.diffusion.sampling import denoise
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import Plan, make_plan
from kdiffusion.diffusion.seeded_noise import ImageNoise

FINE_STEPS = 100
FIRST_SEED = 1_000_000  # far from 0, 1, ..., on which models are compared
RIDGE = 1e-4  # of the mean square of the terms


def fit_sampler(
    denoiser: Denoiser,
    steps: int = 8,
    seeds: int = 256,
    conditions: Asked | None = None,
    *,
    batch_size: int = 64,
    progress: bool = True,
) -> DenoiserCard:
    """Fits the sampler `fitted` to a model, under the guidance that its card recommends.

    Args:
        denoiser: a Denoiser.
        steps: int, from 1 to `FINE_STEPS` - 1. Steps of the fitted sampler. Defaults to `8`.
        seeds: int. Number of images to fit to. Defaults to `256`.
        conditions: as for `check_conditions`. None: the classes take turns.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.

    Returns:
        A copy of the denoiser's card that recommends the fitted sampler.
    """
    card = denoiser.card
    fine_steps = min(FINE_STEPS, card.schedule.num_timesteps)
    options = SamplingOptions(sampler="unipc", steps=fine_steps, spacing="trailing")
    plan = make_plan(denoiser, options)
    noise = ImageNoise(range(FIRST_SEED, FIRST_SEED + seeds), card.image_shape).normal()
    in_turn = np.arange(seeds) % max(len(card.class_names), 1)
    asked = in_turn if conditions is None else conditions
    conditions = check_conditions(card, asked, seeds)
    batches = [slice(i, i + batch_size) for i in range(0, seeds, batch_size)]
    total = len(batches) * (fine_steps + steps)
    with tqdm(total=total, desc="Fitting", unit="step", disable=not progress) as bar:
        fine, products = _fine_trajectory(plan, noise, conditions, batches, bar)
        nodes = [*(t for t, _ in plan.pairs), -1]
        path = best_path(_single_step_errors(card.schedule, nodes, products), steps)
        timesteps = [nodes[i] for i in path]
        rows = _fit_rows(plan, timesteps, noise, fine[path[1:]], conditions, batches, bar)
    return dataclasses.replace(
        card, sampler="fitted", steps=steps, timesteps=tuple(timesteps[:-1]), coefficients=rows
    )


def _fine_trajectory(plan: Plan, noise, conditions, batches, bar) -> tuple[np.ndarray, np.ndarray]:
    """x at each of F + 1 nodes, float32 `[F + 1, N, H, W, C]`, and the products of all terms.

    Terms are x_0 .. x_F and D_0 .. D_F-1; `[2 F + 1, 2 F + 1]` mean products are all that the error
    of a linear step is made of.
    """
    fine = np.empty((len(plan.pairs) + 1, *noise.shape), np.float32)
    fine[0] = noise
    products = np.zeros((2 * len(fine) - 1,) * 2)
    for part in batches:
        guesses = []
        unused: Any = None  # fresh noise: unipc adds none
        for step in denoise(plan, conditions[part], noise[part], unused):
            fine[step.index + 1, part] = step.x
            guesses.append(np.float32(step.x0).ravel())
            bar.update()
        terms = np.concatenate([fine[:, part].reshape(len(fine), -1), guesses])
        products += terms @ terms.T
    return fine, products / noise.size


def _single_step_errors(schedule: NoiseSchedule, nodes, products: np.ndarray) -> np.ndarray:
    """`[F + 1, F + 1]`: mean square error of DDIM from node i straight to node j > i; else inf."""
    last, (x, guess) = len(nodes) - 1, np.eye(2)  # DDIM is linear: its two weights
    errors = np.full((last + 1, last + 1), np.inf)
    for i in range(last):
        for j in range(i + 1, last + 1):
            of_x, of_guess = first_order(x, guess, schedule, nodes[i], nodes[j])
            terms, weights = [j, i, last + 1 + i], np.array([1.0, -of_x, -of_guess])
            errors[i, j] = max(weights @ products[np.ix_(terms, terms)] @ weights, 0.0)
    return errors


def best_path(errors: np.ndarray, steps: int) -> list[int]:
    """The path of least total error from the first node to the last, in so many steps.

    Args:
        errors: float array `[K, K]`, of the step from i to j.
        steps: int.

    Returns:
        `steps + 1` nodes.
    """
    total, came_from = np.full(len(errors), np.inf), []
    total[0] = 0.0
    for _ in range(steps):
        totals = total[:, None] + errors
        came_from.append(totals.argmin(axis=0))
        total = totals.min(axis=0)
    path = [len(errors) - 1]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return path[::-1]


def _fit_rows(
    plan: Plan, timesteps, x, targets, conditions, batches, bar
) -> tuple[tuple[float, ...], ...]:
    """(c0, c1, c2, c3) of each step, from x at the noisiest timestep to `targets` `[S, N, ...]`."""
    rows, guesses = [], []
    for t, s, target in zip(timesteps[:-1], timesteps[1:], targets, strict=True):
        guess = np.empty_like(x)
        for part in batches:
            guess[part] = plan.predict_for(conditions[part])(x[part], t).x0
            bar.update()
        guesses = [guess, *guesses[:2]]
        ddim, terms = first_order(x, guess, plan.schedule, t, s), [x, *guesses]
        row = _ridge(terms, target - ddim)
        x = ddim + sum(c * term for c, term in zip(row, terms, strict=True))
        rows.append((*row, *[0.0] * (4 - len(row))))
    return tuple(rows)


def _ridge(terms: Sequence[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The weights of the terms whose sum comes nearest to what is wanted, kept small."""
    columns = np.stack([term.ravel() for term in terms])
    products = columns @ columns.T
    ridge = RIDGE * np.trace(products) / len(terms)
    return np.linalg.solve(products + ridge * np.eye(len(terms)), columns @ wanted.ravel())
