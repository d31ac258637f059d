/**
 * Loads the network and samples, so that the page stays alive.
 *
 * It is sent { id, settings } and samples an image, or { id } alone to stop; an older image stops at
 * its next step. It sends { kind: "loading", loaded, total }, { kind: "ready", card, runtime },
 * { kind: "step", id, index, noisy, clean, shape } after each step, with the pixels of x and of the
 * predicted clean image, { kind: "done", id } and { kind: "failed", id, message }, where id is null
 * while loading.
 */

import { NAMES, bestProvider, optionsFor, start } from "./runtime.js";

const WANTED_RUNTIME = new URL(import.meta.url).searchParams.get("runtime");

// Before the modules: file and runtime take longer.
const arriving = download("denoiser.onnx", (message) => postMessage(message));
const started = bestProvider(WANTED_RUNTIME).then((name) => ({ name, ort: start(name) }));
const [{ checkSeal, readCard }, { openDenoiser }, { samplingSteps }, { toRgba }] = await Promise.all([
  import("./artifact.js"),
  import("./denoiser.js"),
  import("./diffusion/sampling.js"),
  import("./pixels.js"),
]);

const toItself = new MessageChannel();

let newest = null;
let upsampler = null; // from the first image on that is made larger
let sampling = load(); // one after another: a session runs one batch at a time

onmessage = ({ data: { id, settings } }) => {
  newest = id;
  if (settings) sampling = sampling.then((model) => generate(model, id, settings));
};

/** The network and its card; null, once the page knows why, if it can't be had. */
async function load() {
  try {
    // Of a damaged file the seal is what is said, before what damage leads to.
    const [seal, model] = await Promise.allSettled([arriving.then(checkSeal), arriving.then(open)]);
    if (seal.status === "rejected") throw seal.reason;
    if (model.status === "rejected") throw model.reason;
    postMessage({ kind: "ready", card: model.value.card, runtime: model.value.runtime });
    return model.value;
  } catch (error) {
    postMessage({ kind: "failed", id: null, message: error.message });
    return null;
  }
}

/** Opens the network on the best runtime that computes it. */
async function open(file) {
  const card = readCard(file);
  const { name, ort } = await started;
  try {
    return await openIn(name, await ort, file, card);
  } catch (error) {
    if (name === "wasm") throw new Error(`${NAMES.wasm} could not be used: ${error.message}`);
    // A driver may lack what the network needs, or compute it wrongly; the processor always can.
    const model = await openIn("wasm", await start("wasm"), file, card);
    const why = `because ${NAMES[name]} could not be used (${error.message})`;
    return { ...model, runtime: `${model.runtime}, ${why}` };
  }
}

async function openIn(name, ort, file, card) {
  const opened = (hasty) => openDenoiser(ort, file, card, optionsFor(name, hasty));
  const denoiser = await opened(true);
  return { denoiser, card, runtime: NAMES[name], opened: name === "wasm" ? opened : null };
}

/** After its first image, opens a network again that was opened in haste. */
async function settle(model) {
  const { denoiser, opened } = model;
  model.opened = null;
  if (!opened) return;
  model.denoiser = await opened(false);
  await denoiser.release();
}

async function generate(model, id, settings) {
  if (model === null || id !== newest) return model;
  try {
    for await (const { index, x, x0, shape } of framesOf(model, settings)) {
      if (shape) {
        const [noisy, clean] = [x, x0].map((image) => toRgba(image, shape[2]));
        postMessage({ kind: "step", id, index, noisy, clean, shape }, [noisy.buffer, clean.buffer]);
      }
      await messagesReceived();
      if (id !== newest) return model;
    }
    postMessage({ kind: "done", id });
    await settle(model);
    if (settings.large) await settle(await upsampler);
  } catch (error) {
    postMessage({ kind: "failed", id, message: error.message });
  }
  return model;
}

/** The steps of an image, then the image made larger, before which what has no shape isn't shown. */
async function* framesOf({ denoiser, card }, settings) {
  let small;
  for await (small of samplingSteps(denoiser, card, settings)) {
    yield { ...small, shape: card.image_shape };
  }
  if (!settings.large) return;
  const { enlarging } = await import("./upsampling.js");
  const larger = await (upsampler ??= loadUpsampler());
  const { image_shape: shape } = larger.card;
  const how = enlarging(larger.card, small.x, card.image_shape[0], settings.seed);
  for await (const { s, x } of samplingSteps(larger.denoiser, larger.card, how)) {
    yield s < 0 ? { index: small.index + 1, x, x0: x, shape } : {};
  }
}

async function loadUpsampler() {
  const file = await download("upsampler.onnx");
  await checkSeal(file);
  return open(file);
}

/**
 * Lets in the messages that came during a step: WebAssembly holds the thread until it ends.
 *
 * By a message of its own, since a timer set from a timer waits for 4 ms.
 */
function messagesReceived() {
  return new Promise((resolve) => {
    toItself.port1.onmessage = resolve;
    toItself.port2.postMessage(null);
  });
}

/** A file's bytes; reports its progress. */
async function download(name, report = () => {}) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status} ${response.statusText}`);
  }
  const total = Number(response.headers.get("Content-Length"));
  let loaded = 0;
  const counted = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.length;
      report({ kind: "loading", loaded, total });
      controller.enqueue(chunk);
    },
  });
  return new Uint8Array(await new Response(response.body.pipeThrough(counted)).arrayBuffer());
}
