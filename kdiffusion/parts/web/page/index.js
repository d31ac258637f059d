/** Sampling from a file that kdiffusion exported: the npm package. */

/**
 * @import { Denoiser } from "./denoiser.js"
 * @import * as types from "./index.d.ts"
 */

import { checkSeal, conditionShapes, readCard } from "./artifact.js";
import { openDenoiser } from "./denoiser.js";
import { samplingSteps } from "./diffusion/sampling.js";
import { toRgba } from "./pixels.js";
import { fromQuery } from "./settings.js";

/**
 * Opens an exported file, and refuses one that is damaged or that the runtime computes wrongly.
 *
 * @param {types.Runtime} ort the module onnxruntime-web or onnxruntime-node
 * @param {Uint8Array} file an ONNX file
 * @param {object} [options] of `ort.InferenceSession.create`
 * @returns {Promise<types.Model>}
 */
export async function open(ort, file, options) {
  await checkSeal(file);
  const card = readCard(file);
  return new Model(await openDenoiser(ort, file, card, options), card);
}

/** A model that draws: `draw` gives the image of a label and a seed, `steps` each step of it. */
export class Model {
  /**
   * @param {Denoiser} denoiser
   * @param {types.Card} card
   */
  constructor(denoiser, card) {
    this.denoiser = denoiser;
    this.card = card;
  }

  /**
   * @param {types.Choices} [choices]
   * @returns {AsyncGenerator<types.Step, void, void>}
   * @throws {RangeError} names the choice, what it must be and what was received
   */
  async *steps({ image, ...choices } = {}) {
    const [height, width, channels] = this.card.image_shape;
    const settings = fromQuery(query(choices, this.card), this.card);
    settings.more = { ...settings.more, ...checkImage(image, this.card) };
    for await (const step of samplingSteps(this.denoiser, this.card, settings)) {
      yield { ...step, width, height, data: toRgba(step.x, channels) };
    }
  }

  /**
   * @param {types.Choices} [choices]
   * @returns {Promise<types.Image>}
   */
  async draw(choices) {
    let last;
    for await (const step of this.steps(choices)) last = step;
    const { width, height, data } = /** @type {types.Step} */ (last);
    return { width, height, data };
  }
}

/**
 * Choices as a link has them.
 *
 * @param {types.Choices} choices
 * @param {types.Card} card
 */
function query({ label = 0, numbers, ...choices }, card) {
  const { seed, steps, timesteps, guidance, sampler, ...unknown } = choices;
  for (const name of Object.keys(unknown)) throw new RangeError(`There is no choice “${name}”`);
  if (typeof seed === "number" && seed > Number.MAX_SAFE_INTEGER) {
    throw new RangeError(`“seed” above 2^53 - 1 must be a BigInt or a string. Received: seed=${seed}`);
  }
  if (steps !== undefined && timesteps !== undefined) {
    throw new RangeError("“timesteps” must be left out, or “steps”: each says what the other does");
  }
  const named = typeof label === "string" ? card.class_names.indexOf(label) : -1;
  const asked = numbers && (card.numbers ?? []).map(({ name }) => numbers[name]);
  const all = { ...choices, label: named === -1 ? label : named, numbers: asked };
  const texts = Object.entries(all).filter(([, value]) => value !== undefined);
  return new URLSearchParams(texts.map(([name, value]) => [name, [value].flat().join(" ")]));
}

/** The image that a model is conditioned on, if it is. */
function checkImage(image, card) {
  const shape = conditionShapes(card).image;
  const size = shape?.reduce((product, length) => product * length, 1);
  if (image?.length === size) return shape ? { image } : {};
  throw new RangeError(
    `“image” must be ${shape ? `a Float32Array of ${shape.join(" × ")}` : "left out"}`,
  );
}
