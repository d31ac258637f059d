/** The form: its fields have the names of the link's settings, so that one reads as the other. */

import { fromQuery, isStudent, samplersFor, takesGuidance, toQuery } from "./settings.js";
import { className } from "./words.js";

export const EVERY = ""; // the choice of all classes

/** Offers what the card has. */
export function offer(form, card) {
  const labels = [...card.class_names.keys(), card.null_label];
  form.label.replaceChildren(
    ...(card.class_names.length > 0 ? [new Option("all classes", EVERY)] : []),
    ...labels.map((label) => new Option(className(card, label), label)),
  );
  document.getElementById("sliders").replaceChildren(
    ...(card.numbers ?? []).flatMap((number) => slider(form, number)),
  );
  form.sampler.replaceChildren(...samplersFor(card).map((name) => new Option(name)));
  form.steps.max = card.alphas_cumprod.length;
  form.steps.readOnly = isStudent(card);
  document.getElementById("guidance-row").hidden = !takesGuidance(card);
}

/** A number's label and its slider, over the range that the model has seen. */
function slider(form, { name, unit, mean, std, low, high }) {
  const [min, max] = [low ?? mean - 2 * std, high ?? mean + 2 * std];
  const input = document.createElement("input");
  Object.assign(input, { type: "range", id: `number-${name}`, min, max, step: "any" });
  input.oninput = () => {
    form.numbers.value = sliders(form)
      .map(({ value }) => Number(Number(value).toPrecision(4)))
      .join(" ");
  };
  const label = document.createElement("label");
  Object.assign(label, { htmlFor: input.id, textContent: unit ? `${name} (${unit})` : name });
  return [label, input];
}

function sliders(form) {
  return [...form.querySelectorAll("#sliders input")];
}

/** Shows settings, of a class or of all. */
export function fill(form, settings, { all }) {
  [form.timesteps.value, form.at.value] = ["", 0]; // a link may have none
  for (const [name, value] of new URLSearchParams(toQuery(settings))) form[name].value = value;
  if (form.large) form.large.checked = settings.large;
  if (all) form.label.value = EVERY;
  const numbers = form.numbers.value.split(" ");
  for (const [i, each] of sliders(form).entries()) each.value = numbers[i];
}

/** Reads it; a RangeError says which setting can't be. At its start the walk is no walk. */
export function read(form, card) {
  const query = new URLSearchParams(new FormData(form));
  if (query.get("label") === EVERY) query.delete("label");
  if (query.get("numbers") === "") query.delete("numbers");
  if (Number(query.get("at")) === 0) query.delete("to");
  return fromQuery(query, card);
}
