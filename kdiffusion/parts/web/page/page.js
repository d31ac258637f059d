/** Joins the form, the link, the workers and the canvases. */

import { clear, offerSizes, resize, save } from "./canvas.js";
import { Film } from "./film.js";
import { EVERY, fill, offer, read } from "./form.js";
import { Pool, wantedRuntime } from "./pool.js";
import { fromQuery, moved, recommended, toQuery } from "./settings.js";
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
const PATIENCE = 300; // milliseconds: what takes no longer shows no bar, or it would flicker

let card = null;
let pictures = []; // of each class and of none: { label, tile, frames, version, query, begun }
let current = null; // the newest settings
let all = false; // whether they are meant for all classes
let request = { version: 0, settings: new Map() };
let [stepsTaken, start, patience] = [0, 0, null]; // of the request
const LINK_PAUSE = 400; // milliseconds: browsers let a page change its address 100 times in 30 s
let linkTimer = null;
const REST = 300; // milliseconds: a key that is held changes a field more often
let restTimer = null;
const film = new Film(element("film"), element("film-step"), element("clean"), () => {
  for (const picture of visible()) film.show(picture.frames, canvasesOf(picture));
});

const pool = new Pool({
  loading({ loaded, total }) {
    progress(loaded, total);
    announce("Loading the model");
  },

  ready(message) {
    card = message.card;
    element("about").textContent = describeModel(card);
    element("origin").textContent = describeOrigin(card, message.runtime);
    resize(canvas, card.image_shape);
    const tiles = layTiles(element("tiles"), card, open);
    pictures = [...tiles, null].map((tile, label) => ({ label, tile, frames: [], version: 0 }));
    offer(form, card);
    const waiting = ["settings", "actions", "walk", "film-row", "size", "copy"];
    for (const id of waiting) element(id).disabled = false;
    generateLinked();
  },

  step(task, { index, noisy, clean, shape }) {
    const frame = { step: index + 1, noisy, clean, shape };
    film.add((task.frames ??= []), frame);
    if (task.request !== request) return;
    stepsTaken += 1;
    progress(stepsTaken, request.settings.size * framesOf(current));
    if (request.live || reducedMotion.matches) return;
    const picture = pictures[task.label];
    Object.assign(picture, { query: null, begun: request });
    film.project(frame, canvasesOf(picture));
  },

  done({ label, request: { version, settings }, frames }) {
    const picture = pictures[label];
    if (version < picture.version) return; // another worker was faster with a newer one
    Object.assign(picture, { version, query: toQuery(settings.get(label)), frames });
    film.show(frames, canvasesOf(picture));
  },

  finished() {
    const seconds = (performance.now() - start) / 1000;
    finish(stepsTaken > 0 ? `Generated in ${seconds.toFixed(1)} s` : "");
    const [{ height, width }] = visible().flatMap(canvasesOf);
    offerSizes(element("size"), [height, width]);
    element("save").disabled = false;
  },

  failed({ message }) {
    giveUp("");
    warn(card === null ? `The model could not be loaded. ${message}` : message);
  },
});

form.onsubmit = (event) => {
  event.preventDefault();
  for (const picture of visible()) picture.query = null;
  generate({ live: false });
};
const main = document.querySelector("main");
// While a slider is dragged or a number is typed; where it ends is a change.
main.oninput = ({ target }) => {
  if (target === form.at) form.at.value = Number(form.at.value).toFixed(2); // a link may say more
  if (!target.closest("#advanced, #film-row, #looks") && form.checkValidity()) generate();
};
main.onchange = ({ target }) => {
  if (target.closest("#film-row, #looks")) return;
  generate();
  clearTimeout(restTimer);
  restTimer = setTimeout(() => pool.hurry(), REST); // at once, a held key would let no image finish
};
element("random").onclick = () => {
  [form.seed.value, form.to.value] = crypto.getRandomValues(new Uint32Array(2));
  generate({ live: false, hurry: true });
};
window.onpopstate = () => {
  if (card === null) return;
  current = null; // the link says all
  generateLinked();
};
element("all").onclick = () => open(EVERY);
element("plain").onchange = ({ target }) => {
  document.body.classList.toggle("pixels", target.checked);
};
element("stop").onclick = () => {
  if (canvas.ariaBusy === "true") giveUp("Stopped");
};
element("save").onclick = () => {
  const name = fileName(card, current, { all, isShared: form.same.checked, step: film.shown });
  const shown = all ? pictures.map(({ tile }) => tile).filter(Boolean) : [canvas];
  save(shown, Number(element("size").value), name);
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
// Until the model says what it makes, grey stands where that will be.
const isOfOne = new URLSearchParams(location.search).has("label");
[element("tiles").hidden, element("stage").hidden] = [isOfOne, !isOfOne];

/** Generates what the link asks for, or what the card recommends if the link makes no sense. */
function generateLinked() {
  const query = new URLSearchParams(location.search);
  form.same.checked = query.has("seed") && !query.has("label");
  if (query.has("seeds")) query.set("seed", query.get("seeds"));
  if (!form.large) query.delete("large"); // this page has no second model
  let settings = recommended(card);
  let warning = describeLack(card);
  try {
    settings = fromQuery(query, card);
  } catch (error) {
    warning = `The link makes no sense: ${error.message}. This is what the model recommends.`;
  }
  fill(form, settings, { all: !query.has("label") && card.class_names.length > 0 });
  generate({ live: false, hurry: true });
  warn(warning);
}

/** Shows the image of a class, large; or all classes. */
function open(label) {
  const before = form.label.value;
  form.label.value = label;
  const next = label === EVERY ? pictures[before]?.tile?.parentElement : element("all");
  if (!generate({ live: false, hurry: true })) form.label.value = before;
  else next?.focus({ preventScroll: true }); // each leads back
}

/**
 * Generates what the form says and the page doesn't show yet.
 *
 * @param {object} how
 * @param {boolean} how.live the finished images only, since noise between them would flicker
 * @param {boolean} how.hurry ends the older images that are under way
 * @returns {boolean} whether the form makes sense
 */
function generate({ live = true, hurry = false } = {}) {
  if (!form.checkValidity()) element("advanced").open = true; // what is wrong may be in there
  if (!form.reportValidity()) {
    warn(""); // the browser says what is wrong now
    return false;
  }
  let settings;
  try {
    settings = read(form, card);
  } catch (error) {
    warn(error.message);
    return false;
  }
  if (current !== null && all !== (form.label.value === EVERY)) turn(settings);
  else [current, all] = [settings, form.label.value === EVERY];
  warn("");
  present();
  const lacking = visible().filter((picture) => !isShown(picture));
  const labels = lacking.map(({ label }) => label);
  const isUnderWay =
    labels.length > 0 && labels.every((label) => isMeant(label, request.settings.get(label)));
  if (!(live && isBusy() && isUnderWay)) begin({ labels, live });
  if (hurry) pool.hurry();
  return true;
}

/** Goes from all classes to one or back, from where the browser's back button returns. */
function turn(settings) {
  history.replaceState(null, "", link()); // what is shown so far
  // The image stays the same: for all classes the form has the seed of the first.
  const places = all ? settings.label : -current.label;
  [current, all] = [form.same.checked ? settings : moved(settings, places), !all];
  fill(form, current, { all });
  history.pushState(null, "", link());
}

/** The settings of a picture; of all classes, each has its own seed unless the form says otherwise. */
function settingsOf(label) {
  return { ...moved(current, all && !form.same.checked ? label : 0), label };
}

/** Whether these are the settings that the form asks for. */
function isMeant(label, settings) {
  return settings !== undefined && toQuery(settings) === toQuery(settingsOf(label));
}

/** Whether a picture is what the form asks for. */
function isShown({ label, query }) {
  return query === toQuery(settingsOf(label));
}

/** Asks for images. */
function begin({ labels, live }) {
  const settings = new Map(labels.map((label) => [label, settingsOf(label)]));
  request = { version: request.version + 1, settings, live };
  [stepsTaken, start] = [0, performance.now()];
  canvas.ariaBusy = "true";
  film.begin(framesOf(current), 4 * canvas.width * canvas.height * pictures.length);
  if (!live) film.end();
  clearTimeout(patience);
  if (live) patience = setTimeout(showBusy, PATIENCE);
  else showBusy();
  pool.ask(request);
}

/** How many frames an image has: a step each, and itself once more where it is made larger. */
function framesOf({ steps, large }) {
  return large ? steps + 1 : steps;
}

/** Whether what the form says is still being generated. */
function isBusy() {
  return canvas.ariaBusy === "true";
}

/** The pictures on the page. */
function visible() {
  if (current === null) return [];
  return all ? pictures.filter(({ tile }) => tile) : [pictures[current.label]];
}

/** Where a picture is shown. */
function canvasesOf({ label, tile }) {
  const isOpen = !all && label === current.label;
  return [tile, isOpen ? canvas : null].filter(Boolean);
}

/** Puts the canvas or the tiles on the page, with their words and their link. */
function present() {
  element("tiles").hidden = element("same-row").hidden = !all;
  element("stage").hidden = element("all").hidden = all;
  showLink();
  if (!all) canvas.setAttribute("aria-label", describe(card, current));
  const isShared = form.same.checked;
  const what = all ? describeAll(card, current, isShared) : describe(card, current);
  element("caption").textContent = `${what}; ${describeSampling(card, current)}`;
  for (const picture of visible()) {
    if (isShown(picture)) film.show(picture.frames, canvasesOf(picture));
  }
}

/** The link to what is shown; without a label, to all classes, whose seeds begin at `seeds`. */
function link() {
  const query = new URLSearchParams(toQuery(current));
  if (all) query.delete("label");
  if (all && !form.same.checked) {
    query.set("seeds", query.get("seed"));
    query.delete("seed");
  }
  if (wantedRuntime !== null) query.set("runtime", wantedRuntime);
  return `?${query}`;
}

/** Puts the link into the address bar: after a burst of images, the last one's. */
function showLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout((query) => history.replaceState(null, "", query), LINK_PAUSE, link());
}

/** Ends what will not be finished: words and link are its own, so no older image stays beside them. */
function giveUp(text) {
  pool.stop();
  for (const picture of visible()) {
    if (isShown(picture) || picture.begun === request) continue;
    canvasesOf(picture).forEach(clear);
    Object.assign(picture, { query: null, frames: [] });
    canvas.setAttribute("aria-label", "No image yet");
  }
  finish(text);
}

/** Shows that it takes a while. */
function showBusy() {
  document.body.classList.add("busy");
  element("stop").ariaDisabled = "false"; // not `disabled`, which would drop the keyboard's focus
  element("save").disabled = element("film").disabled = true;
  announce("Generating");
}

function finish(text) {
  clearTimeout(patience);
  document.body.classList.remove("busy");
  canvas.ariaBusy = "false";
  element("stop").ariaDisabled = "true";
  element("film").disabled = false;
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
