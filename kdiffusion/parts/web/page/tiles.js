/** A small image of each class, in a button that opens it. */

import { resize } from "./canvas.js";
import { className } from "./words.js";

/**
 * Lays out empty tiles, one per class.
 *
 * @param {HTMLElement} list
 * @param {object} card
 * @param {(label: number) => void} open
 * @returns {HTMLCanvasElement[]}
 */
export function layTiles(list, card, open) {
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
