/** A small image of each class, in a button that opens it. */

import { resize } from "./canvas.js";
import { className } from "./words.js";

const MOST = 5; // tiles in a row

/**
 * Lays out empty tiles, one per class, in rows as full as can be.
 *
 * @param {HTMLElement} list
 * @param {object} card
 * @param {(label: number) => void} open
 * @returns {HTMLCanvasElement[]}
 */
export function layTiles(list, card, open) {
  const count = card.class_names.length;
  list.style.setProperty("--columns", Math.max(3, Math.ceil(count / Math.ceil(count / MOST))));
  list.replaceChildren();
  return card.class_names.map((_, label) => {
    const canvas = document.createElement("canvas");
    resize(canvas, card.image_shape);
    canvas.style.width = "";
    const name = document.createElement("span");
    name.textContent = className(card, label);
    const button = document.createElement("button");
    button.type = "button";
    button.append(canvas, name);
    button.onclick = () => open(label);
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
    return canvas;
  });
}
