/** Joins the form, the link, the worker and the canvas. */

import { Film } from "./film.js";
import { EVERY, fill, offer, read, showWalk } from "./form.js";
import { clear, offerSizes, resize, save, show } from "./canvas.js";
import { fromQuery, recommended, toQuery } from "./settings.js";
import { layTiles } from "./tiles.js";
import {
  describe,
  describeAll,
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
// `runtime=wasm` or `runtime=webgpu` in the link asks for one; it changes no image.
const runtime = new URLSearchParams(location.search).get("runtime");
const wanted = runtime === null ? "" : `runtime=${encodeURIComponent(runtime)}`;
const worker = new Worker(new URL(`worker.js?${wanted}`, import.meta.url), { type: "module" });

let card = null;
let current = null; // the settings of the newest image, finished or not
let tilesShow = null; // the query of the tiles when all are finished
let job = { id: 0, done: true, quiet: false, all: false, shown: new Set(), start: 0 };
// Browsers let a page change its address some hundred times in ten seconds, or in thirty.
const LINK_PAUSE = 400; // milliseconds
let linkShown = -LINK_PAUSE;
let linkTimer = null;
const film = new Film(canvas, element("film"), element("film-step"));

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
    offerSizes(element("size"), card.image_shape);
    layTiles(element("tiles"), card, open);
    offer(form, card);
    for (const id of ["settings", "generate", "size", "copy"]) element(id).disabled = false;
    generateLinked();
  },

  step({ label, index, steps, pixels }) {
    progress(index + 1, steps);
    const inFull = (index + 1) % current.steps === 0;
    if (inFull || !(job.quiet || reducedMotion.matches)) {
      const place = canvases()[job.all ? label : 0];
      show(place, pixels);
      job.shown.add(place);
    }
    if (!job.all) film.add(index + 1, pixels);
    const quarter = Math.floor((4 * (index + 1)) / steps) > Math.floor((4 * index) / steps);
    if (quarter && !job.quiet) announce(`Step ${index + 1} of ${steps}`);
  },

  done() {
    if (job.all) tilesShow = toQuery({ ...current, label: 0 });
    else film.end();
    finish(`Generated in ${((performance.now() - job.start) / 1000).toFixed(1)} s`);
    element("save").disabled = false;
  },

  failed({ id, message }) {
    giveUp("");
    warn(id === null ? `The model could not be loaded. ${message}` : message);
  },
};

worker.onmessage = ({ data }) => {
  if ((data.id ?? job.id) !== job.id) return;
  try {
    RECEIVED[data.kind](data);
  } catch (error) {
    RECEIVED.failed({ id: card && job.id, message: error.message }); // and not "Loading" for ever
  }
};
worker.onerror = (event) => RECEIVED.failed({ id: null, message: event.message ?? "" });

form.onsubmit = (event) => {
  event.preventDefault();
  generate();
};
form.oninput = ({ target }) => {
  // Two digits where it is dragged; a link may say more.
  if (target === form.at) form.at.value = Number(form.at.value).toFixed(2);
  showWalk(form);
  // While the slider is dragged; where it is left is a change.
  if (target === form.at && job.done && !job.all) generate({ quiet: true });
};
form.onchange = ({ target }) => {
  if (target !== element("plain")) generate({ quiet: target === form.at });
};
element("random").onclick = () => {
  [form.seed.value] = crypto.getRandomValues(new Uint32Array(1));
  generate();
};
element("all").onclick = () => open(EVERY);
element("plain").onchange = ({ target }) => {
  document.body.classList.toggle("pixels", target.checked);
};
element("stop").onclick = () => {
  if (job.done) return;
  job = { ...job, id: job.id + 1 };
  worker.postMessage({ id: job.id });
  giveUp("Stopped");
};
element("save").onclick = () => {
  const name = fileName(card, current, { all: job.all, step: job.all ? null : film.shown });
  save(canvases(), Number(element("size").value), name);
};
element("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(new URL(link(), location.href).href);
    announce("Link copied");
  } catch {
    // Only a page from this machine or over HTTPS may write to the clipboard.
    announce("Copy the address of this page: it makes this image");
  }
};

/** Generates what the link asks for, or what the card recommends if the link makes no sense. */
function generateLinked() {
  const query = new URLSearchParams(location.search);
  let settings = recommended(card);
  let warning = describeLack(card);
  try {
    settings = fromQuery(query, card);
  } catch (error) {
    warning = `The link makes no sense: ${error.message}. This is what the model recommends.`;
  }
  fill(form, settings);
  if (!query.has("label")) form.label.value = EVERY;
  generate();
  warn(warning);
}

/** Shows the image of a class, large and with its steps; or all classes. */
function open(label) {
  const before = form.label.value;
  form.label.value = label;
  if (!generate()) form.label.value = before;
  else if (label !== EVERY) element("all").focus({ preventScroll: true }); // which leads back
}

/**
 * Generates what the form says.
 *
 * @param {object} how
 * @param {boolean} how.quiet the finished image only, for a slider on its way
 * @returns {boolean} whether the form makes sense
 */
function generate({ quiet = false } = {}) {
  const all = form.label.value === EVERY;
  if (!form.checkValidity()) element("advanced").open = true; // what is wrong may be in there
  if (!form.reportValidity()) {
    warn(""); // the browser says what is wrong now
    return false;
  }
  try {
    current = read(form, card);
  } catch (error) {
    warn(error.message);
    return false;
  }
  job = { id: job.id + 1, done: false, quiet, all, shown: new Set(), start: performance.now() };
  warn("");
  present();
  if (all && tilesShow === toQuery({ ...current, label: 0 })) {
    worker.postMessage({ id: job.id }); // they are there: only stop what is under way
    finish("");
    element("save").disabled = false;
    return true;
  }
  canvas.ariaBusy = "true";
  element("save").disabled = true;
  element("stop").ariaDisabled = "false"; // not `disabled`, which would drop the keyboard's focus
  if (all) tilesShow = null;
  else film.begin(current.steps);
  if (!quiet) announce("Generating");
  const labels = all ? [...card.class_names.keys()] : [current.label];
  worker.postMessage({ id: job.id, settings: current, labels });
  return true;
}

/** Where the newest image is shown, or the newest of each class. */
function canvases() {
  return job.all ? [...element("tiles").querySelectorAll("canvas")] : [canvas];
}

/** Puts the canvas or the tiles on the page, with their words and their link. */
function present() {
  const { all } = job;
  element("tiles").hidden = !all;
  canvas.hidden = element("film-row").hidden = element("all").hidden = all;
  showLink();
  if (!all) canvas.setAttribute("aria-label", describe(card, current));
  const what = all ? describeAll(current) : describe(card, current);
  element("caption").textContent = `${what}; ${describeSampling(card, current)}`;
}

/** The link to what is shown; without a label, to all classes. */
function link() {
  const query = new URLSearchParams(toQuery(current));
  if (job.all) query.delete("label");
  return `?${[query.toString(), wanted].filter(Boolean).join("&")}`;
}

/** Puts the link into the address bar: of a burst of images those now and then, and the last. */
function showLink() {
  clearTimeout(linkTimer);
  let pause = linkShown + LINK_PAUSE - performance.now();
  if (pause <= 0) {
    linkShown = performance.now();
    try {
      history.replaceState(null, "", link());
      return;
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      pause = LINK_PAUSE; // the browser had enough of them, for now
    }
  }
  linkTimer = setTimeout(showLink, pause);
}

/** Ends what will not be finished: words and link are its own, so no older image stays beside them. */
function giveUp(text) {
  const old = job.done ? [] : canvases().filter((each) => !job.shown.has(each));
  for (const each of old) clear(each);
  if (old.includes(canvas)) canvas.setAttribute("aria-label", "No image yet");
  finish(text);
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
