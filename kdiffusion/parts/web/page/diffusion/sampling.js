/** The sampling loop, one image at a time: `kdiffusion/diffusion/sampling.py`. */

/**
 * @import { Card } from "../artifact.js"
 * @import { Denoiser } from "../denoiser.js"
 * @import { Settings } from "../settings.js"
 */

import { guided } from "./guidance.js";
import { deterministic, slerp } from "./interpolation.js";
import { ImageNoise } from "./seeded_noise.js";
import { clipped, predictor } from "./prediction.js";
import { SAMPLERS } from "./samplers.js";
import { NoiseSchedule } from "./schedule.js";
import { timestepPairs } from "./spacing.js";

/**
 * The image of a label and a seed, step by step; stop iterating to stop it.
 *
 * @param {Denoiser} denoiser as `guided` takes it
 * @param {Card} card what the exported file says of itself
 * @param {Settings} settings see `settings.js`
 * @yields {{index: number, s: number, x: Float64Array, x0: Float64Array}} x is now at timestep s
 *   (-1 at the end); x0 is what the network took the clean image to be
 */
export async function* samplingSteps(denoiser, card, settings) {
  const schedule = new NoiseSchedule(card.alphas_cumprod);
  const pairs = timestepPairs(schedule, settings.steps, settings.timesteps, card.spacing);
  const interval = card.guidance_interval ?? null; // files of minor versions before 3 lack it
  const guide = guided(denoiser, settings.guidance, card.null_label, schedule, interval);
  const predict = predictor(guide, settings, schedule, card);
  const { sampler, latent, normal } = beginning(card, settings);
  let x = latent;
  let history = [];
  for (const [index, [t, s]] of pairs.entries()) {
    const looked = await predict(x, t);
    const step = SAMPLERS[sampler].step(looked, s, schedule, history, normal, card);
    x = s < 0 ? clipped(step.x, card) : step.x; // of most samplers it is x_0 itself
    history = [...history.slice(-1), step.estimate]; // no solver looks further back than two
    yield { index, s, x, x0: step.estimate.x0 };
  }
}

/** Where an image begins: at its seed's noise, or between it and another's. */
function beginning(card, { seed, sampler, walk }) {
  const size = card.image_shape.reduce((product, length) => product * length, 1);
  const noise = new ImageNoise(seed, size);
  const latent = noise.normal();
  if (walk === null) return { sampler, latent, normal: () => noise.normal() };
  const end = new ImageNoise(walk.seed, size).normal();
  return { sampler: deterministic(sampler), latent: slerp(latent, end, walk.at), normal: null };
}
