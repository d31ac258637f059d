/** Canvases, a pixel of the image each; how large they are shown; and their PNG. */

const SHOWN = 416; // pixels of the screen, a side, at most
const LARGEST_FILE = 4096; // pixels a side

/** Gives a canvas the card's size, shown enlarged by a whole number where it is small. */
export function resize(canvas, [height, width]) {
  canvas.width = width;
  canvas.height = height;
  const enlarged = Math.max(1, Math.floor(SHOWN / Math.max(height, width)));
  canvas.style.width = `${enlarged * width}px`;
}

/**
 * Shows an image as large as any before it, whatever its own size.
 *
 * @param {Uint8ClampedArray} pixels [height * width * 4]
 */
export function show(canvas, pixels, [height, width]) {
  if (canvas.width !== width) [canvas.height, canvas.width] = [height, width];
  canvas.getContext("2d").putImageData(new ImageData(pixels, canvas.width), 0, 0);
}

/** Empties a canvas. */
export function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

/** The sizes that a PNG may have, as options by their width: the image times 1, 2, 4, ... */
export function offerSizes(select, [height, width]) {
  const options = [];
  for (let scale = 1; scale * Math.max(height, width) <= LARGEST_FILE; scale *= 2) {
    options.push(new Option(`${scale * width} × ${scale * height}`, scale * width));
  }
  const chosen = select.value;
  select.replaceChildren(...(options.length > 0 ? options : [new Option(`${width} × ${height}`, width)]));
  for (const option of options) option.selected = option.value === chosen;
}

/**
 * Hands the reader images as one PNG file, side by side, each `wanted` pixels wide: fewer where the
 * sheet of several would be larger than what browsers can make.
 */
export function save(canvases, wanted, name) {
  const columns = Math.ceil(Math.sqrt(canvases.length));
  const rows = Math.ceil(canvases.length / columns);
  const [{ width, height }] = canvases;
  const most = Math.max(1, Math.floor(wanted / width));
  const room = Math.floor(LARGEST_FILE / Math.max(columns * width, rows * height));
  const scale = canvases.length === 1 ? most : Math.max(1, Math.min(most, room));
  const sheet = document.createElement("canvas");
  sheet.width = scale * width * columns;
  sheet.height = scale * height * rows;
  const context = sheet.getContext("2d");
  context.imageSmoothingEnabled = false;
  for (const [index, canvas] of canvases.entries()) {
    const [x, y] = [index % columns, Math.floor(index / columns)];
    const box = [x * width, y * height, width, height];
    context.drawImage(canvas, ...box.map((length) => scale * length));
  }
  const link = document.createElement("a");
  link.href = sheet.toDataURL("image/png");
  link.download = `${name}${scale === 1 ? "" : `-x${scale}`}.png`;
  link.click();
}
