/** The canvas, a pixel of the picture each, and its PNG. */

/** Gives the canvas the card's size, whatever it is shown at. */
export function resize(canvas, [height, width]) {
  canvas.width = width;
  canvas.height = height;
}

/** @param {Uint8ClampedArray} pixels [height * width * 4] */
export function show(canvas, pixels) {
  canvas.getContext("2d").putImageData(new ImageData(pixels, canvas.width), 0, 0);
}

/** Hands the reader the picture as a PNG file, a pixel a pixel. */
export function save(canvas, name) {
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = `${name}.png`;
  link.click();
}
