/**
 * Loads the network and samples, so that the page stays alive.
 *
 * It is sent { id, settings } and samples for the newest, { id, settings, labels } for an image of each
 * of these labels, or { id } alone to stop; an older image stops at its next step. It sends
 * { kind: "loading", loaded, total }, { kind: "ready", card, runtime }, { kind: "step", id, label,
 * index, steps, pixels } after each step, { kind: "done", id } and { kind: "failed", id, message },
 * where id is null while loading. Of several labels, `index` and `steps` count those of all.
 */

import { checkSeal, readCard } from "./artifact.js";
import { samplingSteps } from "./diffusion/sampling.js";
import { toRgba } from "./pixels.js";
import { openOnBest } from "./runtime.js";

const WANTED_RUNTIME = new URL(import.meta.url).searchParams.get("runtime");

const toItself = new MessageChannel();

let newest = null;
let sampling = load(); // one after another: a session runs one batch at a time

onmessage = ({ data: { id, settings, labels } }) => {
  newest = id;
  if (settings) {
    sampling = sampling.then((model) => generate(model, id, settings, labels ?? [settings.label]));
  }
};

/** The network and its card; null, once the page knows why, if it can't be had. */
async function load() {
  try {
    const model = await download("denoiser.onnx");
    await checkSeal(model);
    const card = readCard(model);
    const { denoiser, name } = await openOnBest(model, card, WANTED_RUNTIME);
    postMessage({ kind: "ready", card, runtime: name });
    return { denoiser, card };
  } catch (error) {
    postMessage({ kind: "failed", id: null, message: error.message });
    return null;
  }
}

async function generate(model, id, settings, labels) {
  if (model === null || id !== newest) return model;
  const { denoiser, card } = model;
  const steps = settings.steps * labels.length;
  let done = 0;
  try {
    for (const label of labels) {
      for await (const { x } of samplingSteps(denoiser, card, { ...settings, label })) {
        const pixels = toRgba(x, card.image_shape[2]);
        postMessage({ kind: "step", id, label, index: done, steps, pixels }, [pixels.buffer]);
        done += 1;
        await messagesReceived();
        if (id !== newest) return model;
      }
    }
    postMessage({ kind: "done", id });
  } catch (error) {
    postMessage({ kind: "failed", id, message: error.message });
  }
  return model;
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

/** A file's bytes; reports its progress to the page. */
async function download(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status} ${response.statusText}`);
  }
  const total = Number(response.headers.get("Content-Length"));
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    loaded += value.length;
    postMessage({ kind: "loading", loaded, total });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
