/** The steps of the images on the page, to go back and forth in. */

import { show } from "./canvas.js";

const MOST_BYTES = 64 * 2 ** 20; // of all steps of all images

/**
 * @typedef {{step: number, noisy: Uint8ClampedArray, clean: Uint8ClampedArray, shape: number[]}}
 *   Frame x after a step, counted from 1, and the clean image as it was predicted there
 */
export class Film {
  /**
   * @param {HTMLInputElement} slider
   * @param {HTMLOutputElement} output says which step is shown
   * @param {HTMLInputElement} clean a box: whether the predicted clean image is shown, not x
   * @param {() => void} change is called when another step is to be shown
   */
  constructor(slider, output, clean, change) {
    Object.assign(this, { slider, output, clean, steps: 0, stride: 1 });
    slider.oninput = clean.onchange = () => {
      this.say();
      change();
    };
  }

  /**
   * Prepares for images of so many steps; where the number changes, the slider goes to the last.
   *
   * @param {number} steps
   * @param {number} bytes of each step of all images
   */
  begin(steps, bytes) {
    if (steps === this.steps) return;
    this.steps = steps;
    this.stride = Math.max(1, Math.ceil((2 * steps * bytes) / MOST_BYTES));
    this.slider.max = Math.ceil(steps / this.stride) - 1;
    this.end();
  }

  /** Goes to the last step. */
  end() {
    this.slider.value = this.slider.max;
    this.say();
  }

  /** Adds a step to the frames of an image; of a long film of large images now and then one. */
  add(frames, frame) {
    if (frame.step % this.stride === 0 || frame.step === this.steps) frames.push(frame);
  }

  /** Shows on canvases the step that the slider is at. */
  show(frames, canvases) {
    const frame = frames[this.slider.value];
    if (frame) this.project(frame, canvases);
  }

  /** Shows a frame on canvases. */
  project(frame, canvases) {
    for (const canvas of canvases) {
      show(canvas, this.clean.checked ? frame.clean : frame.noisy, frame.shape);
    }
  }

  /** The step that is shown; null if it is the last. */
  get shown() {
    const step = Math.min((Number(this.slider.value) + 1) * this.stride, this.steps);
    return step === this.steps ? null : step;
  }

  say() {
    const text = `${this.shown ?? this.steps} of ${this.steps}`;
    this.output.value = this.slider.ariaValueText = text;
  }
}
