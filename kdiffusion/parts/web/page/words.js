/** What the page says of an image and of the model. */

import { deterministic } from "./diffusion/interpolation.js";
import { SAMPLERS } from "./diffusion/samplers.js";
import { further, takesGuidance } from "./settings.js";

/** A class by its name. */
export function className(card, label) {
  if (label === card.null_label) return "no class";
  return card.class_names[label] || `class ${label}`; // a name may be empty
}

/** The numbers that an image is asked for by, if any. */
function describeNumbers(card, { more }) {
  const isGiven = more.numbers?.every(Number.isFinite);
  const words = isGiven ? card.numbers.map(({ name }, i) => `${name} ${round(more.numbers[i])}`) : [];
  return words.map((word) => `, ${word}`).join("");
}

function round(number) {
  return Number(number.toPrecision(3));
}

/** The image in a few words, for those who can't see it too. */
export function describe(card, settings) {
  const { label, seed, walk } = settings;
  const of = `Image of ${className(card, label)}${describeNumbers(card, settings)}`;
  if (walk === null) return `${of}, seed ${seed}`;
  return `${of}, ${Math.round(100 * walk.at)} % of the way from seed ${seed} to seed ${walk.seed}`;
}

/** An image of each class in a few words; each has its own seed, or they share one. */
export function describeAll(card, settings, isShared) {
  const { seed, walk } = settings;
  const others = isShared ? 0 : card.class_names.length - 1;
  const seeds = (first) =>
    others === 0 ? `seed ${first}` : `seeds ${first} to ${further(first, others)}`;
  const of = `All classes${describeNumbers(card, settings)}, ${seeds(seed)}`;
  return walk === null ? of : `${of}, ${Math.round(100 * walk.at)} % of the way to ${seeds(walk.seed)}`;
}

/** How it was sampled. */
export function describeSampling(card, { steps, guidance, sampler, large, walk }) {
  const used = walk === null ? sampler : deterministic(sampler);
  const [low, high] = card.guidance_interval ?? [];
  const where = low === undefined || guidance === 0 ? "" : ` for noise from ${low} to ${high}`;
  const guided = guidance === 0 && !takesGuidance(card) ? "" : `, guidance ${guidance}${where}`;
  return `${steps} ${steps === 1 ? "step" : "steps"} of ${used}${guided}${large ? ", made larger" : ""}`;
}

/** What the model does. */
export function describeModel(card) {
  const [height, width] = card.image_shape;
  return (
    `Trained on ${card.dataset}, it turns random noise into new images of ` +
    `${width} × ${height} pixels.`
  );
}

/** What the model is, and what it runs on. */
export function describeOrigin(card, runtime) {
  // The card doesn't count what the first weights of a model with a parent had seen.
  const images = card.images_seen.toLocaleString("en");
  const seen = card.parent ? "" : `This model saw ${images} images, repeats included. `;
  return `${seen}Runs on ${runtime}; nothing leaves this machine.`;
}

/** What of the card's recommendation the page can't do; empty if it can do all. */
export function describeLack(card) {
  if (Object.hasOwn(SAMPLERS, card.sampler)) return "";
  return (
    `The model recommends the sampler “${card.sampler}”, which this page lacks. ` +
    "It uses ddim unless you choose another."
  );
}

/** A name for the file of an image, or of one of each class. */
export function fileName(card, { label, seed, walk }, { all, isShared, step }) {
  const what = all ? "all-classes" : className(card, label);
  const seeds = all && !isShared ? "seeds-from" : "seed";
  const end = walk === null ? "" : `-to-${walk.seed}-at-${walk.at}`;
  const when = step === null ? "" : `-step-${step}`;
  return `${card.dataset}-${what}-${seeds}-${seed}${end}${when}`.replace(/[^\w.-]+/g, "_");
}
