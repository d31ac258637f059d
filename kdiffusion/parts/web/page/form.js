/** The form: its fields have the names of the link's settings, so that one reads as the other. */

import { fromQuery, samplersFor, toQuery } from "./settings.js";
import { className } from "./words.js";

export const EVERY = ""; // the choice of all classes

/** Offers what the card has. */
export function offer(form, card) {
  const labels = [...card.class_names.keys(), card.null_label];
  form.label.replaceChildren(
    new Option("all classes", EVERY),
    ...labels.map((label) => new Option(className(card, label), label)),
  );
  form.sampler.replaceChildren(...samplersFor(card).map((name) => new Option(name)));
  form.steps.max = card.alphas_cumprod.length;
}

/** Shows settings. */
export function fill(form, settings) {
  form.timesteps.value = ""; // a link may have none
  for (const [name, value] of new URLSearchParams(toQuery(settings))) form[name].value = value;
}

/** Reads it; a RangeError says which setting can't be. At its start the walk is no walk. */
export function read(form, card) {
  const query = new URLSearchParams(new FormData(form));
  if (query.get("label") === EVERY) query.delete("label");
  if (Number(query.get("at")) === 0) query.delete("to");
  return fromQuery(query, card);
}
