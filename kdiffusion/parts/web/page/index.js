/** Sampling from a file that kdiffusion exported: the npm package. */

/**
 * @import { Card } from "./artifact.js"
 * @import { Denoiser } from "./denoiser.js"
 */

import { checkSeal, conditionShapes, readCard } from "./artifact.js";
import { openDenoiser } from "./denoiser.js";
import { samplingSteps } from "./diffusion/sampling.js";
import { toRgba } from "./pixels.js";
import { fromQuery } from "./settings.js";

/**
 * @typedef {object} Choices what the card recommends stands where one is left out
 * @property {number | string} [label] a class, by number or name; the card's null label for none
 * @property {Record<string, number>} [numbers] of each that the card names, in its unit
 * @property {Float32Array} [image] [H, W, C'] in -1 .. 1, of a model that is conditioned on one
 * @property {number | bigint | string} [seed] 0 .. 2^64 - 1; a number is exact up to 2^53
 * @property {number} [steps]
 * @property {number[]} [timesteps] in place of steps
 * @property {number} [guidance] w of Ho & Salimans 2022
 * @property {string} [sampler]
 *
 * @typedef {object} Image
 * @property {number} width
 * @property {number} height
 * @property {Uint8ClampedArray} data RGBA, as `ImageData` takes it
 *
 * @typedef {Image & {index: number, s: number, x: Float64Array, x0: Float64Array}} Step
 *   the image so far; x is at timestep s (-1 at the end), x0 the predicted clean image
 */

/**
 * Opens an exported file, and refuses one that is damaged or that the runtime computes wrongly.
 *
 * @param {any} ort the module onnxruntime-web or onnxruntime-node
 * @param {Uint8Array} file an ONNX file
 * @param {object} [options] of `ort.InferenceSession.create`
 * @returns {Promise<Model>}
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
   * @param {Card} card
   */
  constructor(denoiser, card) {
    this.denoiser = denoiser;
    this.card = card;
  }

  /**
   * @param {Choices} [choices]
   * @returns {AsyncGenerator<Step, void, void>}
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
   * @param {Choices} [choices]
   * @returns {Promise<Image>}
   */
  async draw(choices) {
    let last;
    for await (const step of this.steps(choices)) last = step;
    const { width, height, data } = /** @type {Step} */ (last);
    return { width, height, data };
  }
}

/**
 * Choices as a link has them.
 *
 * @param {Choices} choices
 * @param {Card} card
 */
function query({ label = 0, numbers, ...choices }, card) {
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
