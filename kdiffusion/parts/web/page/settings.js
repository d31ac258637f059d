/** What an image is made of, in the form and in the link that reproduces it. */

/** @import { Card } from "./artifact.js" */

import { LARGEST_SEED } from "./diffusion/seeded_noise.js";
import { SAMPLERS } from "./diffusion/samplers.js";

/**
 * @typedef {object} Settings
 * @property {number} label a class, or the card's null label for no class
 * @property {import("./denoiser.js").More} more conditions that the card has beside the label
 * @property {bigint} seed
 * @property {number} steps
 * @property {null | number[]} timesteps to visit, falling, `steps` of them; null: evenly spaced
 * @property {number} guidance w of Ho & Salimans 2022
 * @property {string} sampler a key of SAMPLERS
 * @property {boolean} large whether a second model makes it larger
 * @property {null | {seed: bigint, at: number}} walk a second seed and how far towards it, 0 .. 1
 */

/**
 * The card's recommendation for its first class and seed 0.
 *
 * @returns {Settings}
 */
export function recommended(card) {
  return {
    label: 0,
    more: card.numbers ? { numbers: Float32Array.from(card.numbers, ({ mean }) => mean) } : {},
    seed: 0n,
    steps: card.steps,
    timesteps: card.timesteps ?? null, // files of minor versions before 4 lack it
    guidance: card.guidance_strength,
    sampler: Object.hasOwn(SAMPLERS, card.sampler) ? card.sampler : "ddim", // which is said
    large: false,
    walk: null,
  };
}

/** The settings as the query of a link, every one of them, so that it outlives other defaults. */
export function toQuery({ label, more, seed, steps, timesteps, guidance, sampler, large, walk }) {
  const query = new URLSearchParams({ label, seed, steps, guidance, sampler });
  if (more.numbers?.every(Number.isFinite)) {
    const short = Array.from(more.numbers, (number) => Number(number.toPrecision(7))); // float32
    query.set("numbers", short.join(" "));
  }
  if (timesteps !== null) query.set("timesteps", timesteps.join(" "));
  if (large) query.set("large", "1");
  if (walk !== null) {
    query.set("to", walk.seed);
    query.set("at", walk.at);
  }
  return query.toString();
}

/**
 * Reads a link or a form; what it leaves out is as recommended.
 *
 * @param {URLSearchParams} query
 * @param {Card} card
 * @returns {Settings}
 * @throws {RangeError} names the setting, what it must be and what was received
 */
export function fromQuery(query, card) {
  const settings = recommended(card);
  const readers = readersFor(card);
  for (const name of ["label", "seed", "steps", "guidance", "sampler"]) {
    if (query.has(name)) settings[name] = readers[name](name, query.get(name));
  }
  settings.large = query.get("large") === "1";
  if (query.has("numbers")) {
    settings.more = { numbers: readers.numbers("numbers", query.get("numbers")) };
  }
  // No class is none of anything.
  if (settings.more.numbers && card.class_names.length > 0 && settings.label === card.null_label) {
    settings.more = { numbers: settings.more.numbers.map(() => NaN) };
  }
  if (query.get("timesteps")) {
    const timesteps = readers.timesteps("timesteps", query.get("timesteps"));
    settings.timesteps = timesteps;
    if (!query.has("steps")) settings.steps = timesteps.length;
  }
  // The number in the form was changed since: so many, evenly spaced.
  if (settings.timesteps?.length !== settings.steps) settings.timesteps = null;
  if (SAMPLERS[settings.sampler].fitted && `${settings.timesteps}` !== `${card.timesteps}`) {
    const need = `${card.steps} for the sampler “fitted”; for others it may be any`;
    if (query.has("sampler")) throw refused("steps", need, settings.steps);
    settings.sampler = "unipc"; // as SamplingOptions.resolve has it
  }
  if (isStudent(card)) {
    if (settings.guidance !== 0) {
      throw refused("guidance", "0, as a student has learned it", settings.guidance);
    }
    if (`${settings.timesteps}` !== `${card.timesteps}`) {
      throw refused("steps", `${card.steps}, as a student has learned them`, settings.steps);
    }
  }
  if (query.has("to")) {
    const at = query.has("at") ? readers.at("at", query.get("at")) : 0.5;
    settings.walk = { seed: readers.seed("to", query.get("to")), at };
  }
  return settings;
}

/** The seed so many places further; before the first is the first. */
export function further(seed, places) {
  const sum = seed + BigInt(places);
  return sum < 0n ? 0n : BigInt.asUintN(64, sum);
}

/** The settings with their seeds so many places further. */
export function moved(settings, places) {
  const { seed, walk } = settings;
  const end = walk && { ...walk, seed: further(walk.seed, places) };
  return { ...settings, seed: further(seed, places), walk: end };
}

/** Whether a model samples at its own few timesteps, and has learned their guidance. */
export function isStudent(card) {
  return Boolean(card.timesteps) && !card.coefficients && card.guidance_strength === 0;
}

/** Whether guidance makes sense. */
export function takesGuidance(card) {
  return !isStudent(card) && (card.class_names.length > 0 || Boolean(card.numbers));
}

/** The names of the samplers that serve a model. */
export function samplersFor(card) {
  const fitted = Boolean(card.coefficients); // files of minor versions before 4 have none
  return Object.keys(SAMPLERS).filter((name) => fitted || !SAMPLERS[name].fitted);
}

function readersFor(card) {
  return {
    label: classOf(card),
    seed: readSeed,
    steps: whole(1, card.alphas_cumprod.length),
    timesteps: falling(card.alphas_cumprod.length - 1),
    guidance: number(-1, Infinity),
    sampler: oneOf(samplersFor(card)),
    at: number(0, 1),
    numbers: severalOf(card.numbers ?? []),
  };
}

/** A class by its number, or by its name where that is no number. */
function classOf({ class_names: names, null_label: most }) {
  return (name, text) => {
    if (!/^\d+$/.test(text) && names.includes(text)) return names.indexOf(text);
    if (/^\d+$/.test(text) && Number(text) <= most) return Number(text);
    throw refused(name, `the name of a class, or a whole number from 0 to ${most}`, text);
  };
}

function whole(least, most) {
  return (name, text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw refused(name, `a whole number from ${least} to ${most}`, text);
  };
}

function falling(most) {
  return (name, text) => {
    const values = text.split(" ").map((word) => (/^\d+$/.test(word) ? Number(word) : NaN));
    if (values.every((value, i) => value <= most - i && !(value >= values[i - 1]))) return values;
    throw refused(name, `falling whole numbers from ${most} to 0`, text);
  };
}

function number(least, most) {
  const need =
    most === Infinity ? `a number of at least ${least}` : `a number from ${least} to ${most}`;
  return (name, text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    throw refused(name, need, text);
  };
}

function severalOf(described) {
  const names = described.map(({ name }) => name).join(", ");
  const need = names ? `a number for each of: ${names}` : "left out: this model takes none";
  return (name, text) => {
    const values = Float32Array.from(text.split(" "), (word) => (word === "" ? NaN : Number(word)));
    if (names && values.length === described.length && values.every(Number.isFinite)) return values;
    throw refused(name, need, text);
  };
}

function readSeed(name, text) {
  if (/^\d+$/.test(text) && BigInt(text) <= LARGEST_SEED) return BigInt(text);
  throw refused(name, `a whole number from 0 to ${LARGEST_SEED}`, text);
}

function oneOf(names) {
  return (name, text) => {
    if (names.includes(text)) return text;
    throw refused(name, `one of ${names.join(", ")}`, text);
  };
}

function refused(name, need, text) {
  return new RangeError(`“${name}” must be ${need}. Received: ${name}=${text}`);
}
