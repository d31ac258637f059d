/** The steps of the image that is shown, to go back and forth in. */

import { show } from "./canvas.js";

const MOST_BYTES = 64 * 2 ** 20;

/** Keeps what the canvas was at each step, or, of a long film of large images, at some. */
export class Film {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLInputElement} slider
   * @param {HTMLOutputElement} output says which step is shown
   */
  constructor(canvas, slider, output) {
    Object.assign(this, { canvas, slider, output });
    this.begin(1);
    slider.oninput = () => {
      const { step, pixels } = this.frames[slider.value];
      show(canvas, pixels);
      this.say(step);
    };
  }

  /** Forgets the last film; the next one has `steps` steps. */
  begin(steps) {
    this.frames = [];
    this.steps = steps;
    const bytes = 4 * this.canvas.width * this.canvas.height;
    this.stride = Math.max(1, Math.ceil((steps * bytes) / MOST_BYTES));
    this.slider.disabled = true;
    this.output.value = "";
  }

  /** Takes the image after a step, counted from 1. */
  add(step, pixels) {
    if (step % this.stride === 0 || step === this.steps) this.frames.push({ step, pixels });
  }

  /** Lets the reader at it, from the end backwards. */
  end() {
    this.slider.max = this.frames.length - 1;
    this.slider.value = this.frames.length - 1;
    this.slider.disabled = false;
    this.say(this.steps);
  }

  /** The step that is shown; null if it is the last. */
  get shown() {
    const frame = this.slider.disabled ? undefined : this.frames[this.slider.value];
    return frame === undefined || frame.step === this.steps ? null : frame.step;
  }

  say(step) {
    this.output.value = this.slider.ariaValueText = `${step} of ${this.steps}`;
  }
}
