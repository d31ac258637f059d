/** Joins the form, the link, the worker and the canvas. */

import { fill, offer, read, showWalk } from "./form.js";
import { resize, save, show } from "./picture.js";
import { fromQuery, recommended, toQuery } from "./settings.js";
import {
  describe,
  describeLack,
  describeModel,
  describeOrigin,
  describeSampling,
  fileName,
} from "./words.js";

const element = (id) => document.getElementById(id);
const form = element("form");
const canvas = element("canvas");
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)"); // noise flickers
// `runtime=wasm` or `runtime=webgpu` in the link asks for one; it changes no picture.
const runtime = new URLSearchParams(location.search).get("runtime");
const wanted = runtime === null ? "" : `runtime=${encodeURIComponent(runtime)}`;
const worker = new Worker(new URL(`worker.js?${wanted}`, import.meta.url), { type: "module" });

let card = null;
let drawn = null; // the settings of the newest picture, drawn or being drawn
let job = { id: 0, done: true, quiet: false, start: 0 };

const RECEIVED = {
  loading({ loaded, total }) {
    progress(loaded, total);
    announce("Loading the model");
  },

  ready(message) {
    card = message.card;
    element("about").textContent = describeModel(card);
    element("origin").textContent = describeOrigin(card, message.runtime);
    resize(canvas, card.image_shape);
    offer(form, card);
    element("settings").disabled = false;
    element("copy").disabled = false;
    drawLinked();
  },

  step({ index, steps, pixels }) {
    progress(index + 1, steps);
    const still = job.quiet || reducedMotion.matches;
    if (!still || index + 1 === steps) show(canvas, pixels);
    const quarter = Math.floor((4 * (index + 1)) / steps) > Math.floor((4 * index) / steps);
    if (quarter && !job.quiet) announce(`Step ${index + 1} of ${steps}`);
  },

  drawn() {
    finish(`Drawn in ${((performance.now() - job.start) / 1000).toFixed(1)} s`);
    element("save").disabled = false;
  },

  failed({ id, message }) {
    finish("");
    warn(id === null ? `The model could not be loaded. ${message}` : message);
  },
};

worker.onmessage = ({ data }) => {
  if ((data.id ?? job.id) === job.id) RECEIVED[data.kind](data);
};
worker.onerror = (event) => RECEIVED.failed({ id: null, message: event.message ?? "" });

form.onsubmit = (event) => {
  event.preventDefault();
  draw();
};
form.oninput = ({ target }) => {
  showWalk(form);
  // While the slider is dragged; where it is left is a change.
  if (target === form.at && job.done) draw({ quiet: true });
};
form.onchange = ({ target }) => draw({ quiet: target === form.at });
element("random").onclick = () => {
  [form.seed.value] = crypto.getRandomValues(new Uint32Array(1));
  draw();
};
element("stop").onclick = () => {
  if (job.done) return;
  job = { ...job, id: job.id + 1 };
  worker.postMessage({ id: job.id });
  finish("Stopped");
};
element("save").onclick = () => save(canvas, fileName(card, drawn));
element("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    announce("Link copied");
  } catch {
    // Only a page from this machine or over HTTPS may write to the clipboard.
    announce("Copy the address of this page: it draws this picture");
  }
};

/** Draws what the link asks for, or what the card recommends if that can't be drawn. */
function drawLinked() {
  let settings = recommended(card);
  let warning = describeLack(card);
  try {
    settings = fromQuery(new URLSearchParams(location.search), card);
  } catch (error) {
    warning = `The link can't be drawn: ${error.message}. This is what the model recommends.`;
  }
  fill(form, settings);
  draw();
  warn(warning);
}

/** Draws what the form says; quiet shows the finished picture only, for a slider on its way. */
function draw({ quiet = false } = {}) {
  if (!form.reportValidity()) return;
  try {
    drawn = read(form, card);
  } catch (error) {
    warn(error.message);
    return;
  }
  warn("");
  history.replaceState(null, "", `?${toQuery(drawn)}${wanted && `&${wanted}`}`);
  canvas.setAttribute("aria-label", describe(card, drawn));
  element("caption").textContent = `${describe(card, drawn)}; ${describeSampling(drawn)}`;
  canvas.ariaBusy = "true";
  element("save").disabled = true;
  element("stop").ariaDisabled = "false"; // not `disabled`, which would drop the keyboard's focus
  job = { id: job.id + 1, done: false, quiet, start: performance.now() };
  if (!quiet) announce("Drawing");
  worker.postMessage({ id: job.id, settings: drawn });
}

function finish(text) {
  job.done = true;
  canvas.ariaBusy = "false";
  element("stop").ariaDisabled = "true";
  announce(text);
}

function progress(value, max) {
  element("progress").max = max || 1;
  element("progress").value = value;
}

/** For everyone to read, screen readers included; the same words twice are said once. */
function announce(text) {
  if (element("status").textContent !== text) element("status").textContent = text;
}

function warn(text) {
  element("alert").textContent = text;
}
