/** What an exported ONNX file holds beside its graph: its seal, its card, its golden predictions. */

/** @import { Denoiser } from "./denoiser.js" */

import { TO_X0 } from "./diffusion/prediction.js";
import { ImageNoise } from "./diffusion/seeded_noise.js";

const CARD_VERSION = 1;
const SEAL = bytesOf("kdiffusion-sha256:");
const [VARINT, BYTES] = [0, 2]; // what a field of a protocol buffer holds, as its tag says
const DIGEST_LENGTH = 64; // hexadecimal, after SEAL
const VALUES = 64; // as in kdiffusion/artifacts/integrity.py, and so is the next
const TOLERANCE = 1e-3;

/**
 * Refuses a file whose bytes are not those of its export, as `kdiffusion/artifacts/integrity.py` does,
 * and says so of one that is cut short.
 *
 * A file without a seal passes; so does every file where the browser has no SHA-256, which is on a
 * page that came neither over HTTPS nor from this machine.
 *
 * @param {Uint8Array} file
 * @throws {Error} the file is cut short or damaged, or no bytes
 */
export async function checkSeal(file) {
  if (!(file instanceof Uint8Array)) throw new TypeError("The model file must be a Uint8Array");
  if (isCut(file)) throw new Error(`The model file is cut short: it ends after ${file.length} bytes`);
  if (globalThis.crypto.subtle === undefined) return;
  const places = positions(file, SEAL).map((start) => start + SEAL.length);
  const digests = new Set(places.map((start) => textAt(file, start, DIGEST_LENGTH)));
  const unsealed = "0".repeat(DIGEST_LENGTH);
  if (digests.size === 0 || (digests.size === 1 && digests.has(unsealed))) return;
  const header = bytesOf(`\0${file.length}\0`);
  const bytes = new Uint8Array(header.length + file.length);
  bytes.set(header);
  bytes.set(file, header.length);
  for (const start of places) bytes.set(bytesOf(unsealed), header.length + start);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const computed = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (digests.size === 1 && digests.has(computed)) return;
  throw new Error("The model is damaged: its SHA-256 has changed since its export");
}

/**
 * A text of the file's metadata; null if there is none of that name.
 *
 * ONNX is a protocol buffer: an entry is its key, then tag 0x12, the length, and the text.
 *
 * @param {Uint8Array} file
 * @param {string} key shorter than 128 bytes
 */
export function metadata(file, key) {
  const entry = Uint8Array.of(0x0a, key.length, ...bytesOf(key), 0x12);
  const [start] = positions(file, entry);
  if (start === undefined) return null;
  const [length, at] = varint(file, start + entry.length);
  return textAt(file, at, length);
}

/** Whether a file ends before its last field does, as where a download was broken off. */
function isCut(file) {
  let at = 0;
  while (at < file.length) {
    const [tag, start] = varint(file, at);
    const [value, end] = varint(file, start);
    if (![VARINT, BYTES].includes(tag % 8)) return false; // of no ONNX file
    at = tag % 8 === BYTES ? end + value : end;
  }
  return at === 0 || at > file.length;
}

/** A number of a protocol buffer, and where it ends: 7 bits a byte, the lowest first. */
function varint(file, start) {
  let [at, number] = [start, 0];
  for (let more = true; more; at += 1) {
    number += (file[at] & 0x7f) * 2 ** (7 * (at - start));
    more = file[at] >= 0x80;
  }
  return [number, at];
}

/** @typedef {import("./index.d.ts").Card} Card */

/**
 * The conditions beside the label that a network has: the shape of one example of each.
 *
 * @param {Card} card
 * @returns {{numbers?: number[], image?: number[]}}
 */
export function conditionShapes({ numbers, image, image_shape: [height, width] }) {
  return {
    ...(numbers && { numbers: [numbers.length] }),
    ...(image && { image: [height, width, image.channels] }),
  };
}

/**
 * The card of a file.
 *
 * @param {Uint8Array} file
 * @returns {Card}
 * @throws {Error} there is none, or one of another version
 */
export function readCard(file) {
  return checkCard(JSON.parse(metadata(file, "kdiffusion.card") ?? "null"));
}

/**
 * Gives a card back, or refuses one that would sample wrongly.
 *
 * @param {any} card
 * @returns {Card}
 * @throws {Error}
 */
export function checkCard(card) {
  if (card?.format_version !== CARD_VERSION) {
    throw new Error(
      `The file must have a card of version ${CARD_VERSION}, not ${card?.format_version ?? "none"}`,
    );
  }
  if (!Object.hasOwn(TO_X0, card.prediction_type)) {
    throw new Error(`The card has an unknown prediction_type, ${card.prediction_type}`);
  }
  if (card.null_label !== card.class_names.length) {
    throw new Error(`The card's null_label must be its number of classes, not ${card.null_label}`);
  }
  return card;
}

/**
 * Refuses a runtime that doesn't predict the numbers that the file carries: `kdiffusion/artifacts/integrity.py`.
 *
 * @param {Denoiser} denoiser
 * @param {Card} card
 * @param {string | null} text of the metadata; null: nothing is compared
 * @throws {Error} the runtime computes something else
 */
export async function checkRuntime(denoiser, card, text) {
  if (text === null) return;
  const golden = JSON.parse(text).prediction;
  const [height, width, channels] = card.image_shape;
  const size = height * width * channels;
  const last = card.alphas_cumprod.length - 1;
  const prediction = new Float32Array(2 * size);
  // One after another, as images are sampled: a runtime plans for each size of a batch.
  for (const [i, timestep, label] of [
    [0, last, 0],
    [1, Math.floor(last / 4), card.null_label],
  ]) {
    const noise = Float32Array.from(new ImageNoise(BigInt(i), size).normal());
    const [t, y] = [Int32Array.of(timestep), Int32Array.of(label)];
    prediction.set(await denoiser(noise, t, y, exampleConditions(card, i === 0)), i * size);
  }
  const stride = Math.ceil(prediction.length / VALUES);
  const largest = Math.max(1, ...golden.map(Math.abs));
  const difference = Math.max(...golden.map((value, i) => Math.abs(value - prediction[i * stride])));
  // Not `>`: a NaN must not pass.
  if (golden.length === Math.ceil(prediction.length / stride) && difference <= TOLERANCE * largest)
    return;
  throw new Error(`its numbers are ${difference.toExponential(0)} off those that the model carries`);
}

/** The means of numbers and the noise of seed 2, or none. */
function exampleConditions(card, given) {
  const { image } = conditionShapes(card);
  const size = image?.reduce((product, length) => product * length, 1) ?? 0;
  const noise = new ImageNoise(2n, size).normal();
  return {
    ...(card.numbers && {
      numbers: Float32Array.from(card.numbers, ({ mean }) => (given ? mean : NaN)),
    }),
    ...(image && { image: given ? Float32Array.from(noise) : new Float32Array(size) }),
  };
}

function bytesOf(text) {
  return new TextEncoder().encode(text);
}

function textAt(file, start, length) {
  return new TextDecoder().decode(file.subarray(start, start + length));
}

/** Where a pattern is, in order. */
function positions(file, pattern) {
  const found = [];
  let at = file.indexOf(pattern[0]);
  for (; at !== -1; at = file.indexOf(pattern[0], at + 1)) {
    let length = 1;
    while (length < pattern.length && file[at + length] === pattern[length]) length += 1;
    if (length === pattern.length) found.push(at);
  }
  return found;
}
