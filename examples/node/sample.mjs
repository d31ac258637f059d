// Samples from a kdiffusion file in Node, by the package `kdiffusion`.
//
//     npm install --ignore-scripts                   # those of ONNX Runtime fetch CUDA
//     node sample.mjs denoiser.onnx 8 7 ship.ppm       # the class 8 and the seed 7
//     node sample.mjs --check ../../conformance/v1     # the package against the vectors

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Model, open } from "kdiffusion";
import * as ort from "onnxruntime-node";

const options = { logSeverityLevel: 3 };

/** The channels of RGBA pixels, one or three. */
function channelsOf(data, channels) {
  return Uint8Array.from(data.filter((_, i) => i % 4 < channels));
}

async function sample(file, label, seed, out) {
  const model = await open(ort, await readFile(file), options);
  const channels = model.card.image_shape[2];
  const { width, height, data } = await model.draw({ label: Number(label), seed });
  const header = Buffer.from(`P${channels === 1 ? 5 : 6} ${width} ${height} 255\n`);
  await writeFile(out, Buffer.concat([header, channelsOf(data, channels)]));
}

async function check(folder) {
  const read = async (name) => JSON.parse(await readFile(join(folder, name), "utf8"));
  for (const trace of await read("traces.json")) await checkTrace(trace);
  for (const { file, label, seed, image_shape, pixels } of await read("images.json")) {
    const model = await open(ort, await readFile(join(folder, "../..", file.path)), options);
    const { data } = await model.draw({ label, seed });
    compare(`the image of seed ${seed}`, channelsOf(data, image_shape[2]), pixels, 1);
  }
  console.log("agrees with the vectors");
}

/** Samples where the network says what it said in the trace. */
async function checkTrace({ name, card, label, seed, steps }) {
  let done = 0;
  const denoiser = async (images, timesteps, labels) => {
    const size = images.length / labels.length;
    const rows = [...labels].map((each, i) => {
      const look = steps[done].looks.find((it) => it.t === timesteps[i] && it.label === each);
      const where = `${name}, step ${done}: `;
      if (!look) throw new Error(`${where}what the network is asked`);
      compare(`${where}x before it`, images.subarray(i * size, (i + 1) * size), look.x, 1e-5);
      return look.prediction;
    });
    return Float32Array.from(rows.flat());
  };
  for await (const { x, x0 } of new Model(denoiser, card).steps({ label, seed })) {
    compare(`${name}, step ${done}: x0`, x0, steps[done].x0, 1e-11);
    compare(`${name}, step ${done}: x`, x, steps[done].x, 1e-11);
    done += 1;
  }
}

function compare(what, numbers, wanted, tolerance) {
  const agrees = wanted.every((value, i) => Math.abs(value - numbers[i]) <= tolerance);
  if (!agrees || numbers.length !== wanted.length) throw new Error(`differs: ${what}`);
}

const [first, ...others] = process.argv.slice(2);
await (first === "--check" ? check(...others) : sample(first, ...others));
