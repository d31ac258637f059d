// Answers each line of JSON on standard input, { ask, ...arguments }, by a line on standard output.
// The page's modules are in the folder that the only argument names.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const load = (name) => import(new URL(name, folder));

const ANSWERS = {
  async draws({ seed, size, count }) {
    const noise = new (await load("diffusion/seeded_noise.js")).ImageNoise(BigInt(seed), size);
    return Array.from({ length: count }, () => [...noise.normal()]);
  },

  async timesteps({ alphas_cumprod, steps, spacing }) {
    const { timestepPairs } = await load("diffusion/spacing.js");
    const { NoiseSchedule } = await load("diffusion/schedule.js");
    const schedule = new NoiseSchedule(alphas_cumprod);
    return steps.map((count) => timestepPairs(schedule, count, null, spacing).map(([t]) => t));
  },

  async samplers() {
    const { SAMPLERS } = await load("diffusion/samplers.js");
    return Object.fromEntries(Object.entries(SAMPLERS).map(([name, row]) => [name, row.random]));
  },

  async pixels({ x, channels }) {
    return [...(await load("pixels.js")).toRgba(Float64Array.from(x), channels)];
  },

  async queries({ queries, card }) {
    const { fromQuery, toQuery } = await load("settings.js");
    return queries.map((query) => {
      try {
        return toQuery(fromQuery(new URLSearchParams(query), card));
      } catch (error) {
        return `${error.name}: ${error.message}`;
      }
    });
  },

  // What the page reads out of an ONNX file before it opens it.
  async artifact({ path }) {
    const { checkSeal, metadata, readCard } = await load("artifact.js");
    const file = new Uint8Array(await readFile(path));
    try {
      await checkSeal(file);
      return { card: readCard(file), golden: metadata(file, "kdiffusion.self_check") };
    } catch (error) {
      return { refused: error.message };
    }
  },

  async card({ card }) {
    const { checkCard } = await load("artifact.js");
    const { recommended } = await load("settings.js");
    try {
      return recommended(checkCard(card)).sampler;
    } catch (error) {
      return { refused: error.message };
    }
  },

  // The runtime's check, where the network gives what is passed in.
  async runtime({ card, text, prediction }) {
    const { checkRuntime } = await load("artifact.js");
    const asked = [[], [], []];
    const denoiser = async (...inputs) => {
      const done = asked[0].length;
      inputs.slice(0, 3).forEach((input, i) => asked[i].push(...input));
      return Float32Array.from(prediction.slice(done, asked[0].length));
    };
    try {
      await checkRuntime(denoiser, card, text);
      return { asked };
    } catch (error) {
      return { asked, refused: error.message };
    }
  },

  // The loop, on a network that says what it said before: what it was asked, and where each step led.
  async sample({ query, card, looks, image }) {
    const { fromQuery } = await load("settings.js");
    const { samplingSteps } = await load("diffusion/sampling.js");
    const steps = [];
    let calls = [];
    const denoiser = async (images, timesteps, labels, more = {}) => {
      const size = images.length / labels.length;
      const found = [...labels].flatMap((label, i) => {
        const call = { t: timesteps[i], label };
        for (const [name, values] of Object.entries(more)) {
          const count = values.length / labels.length;
          const own = [...values.subarray(i * count, (i + 1) * count)];
          call[name] = own.some(Number.isNaN) ? null : own;
        }
        calls.push({ ...call, x: [...images.subarray(i * size, (i + 1) * size)] });
        const isAsked = (look) =>
          Object.entries(call).every(([name, value]) => `${look[name]}` === `${value}`);
        return looks[steps.length].find(isAsked)?.prediction ?? Array(size).fill(0);
      });
      return Float32Array.from(found);
    };
    const settings = fromQuery(new URLSearchParams(query), card);
    if (image) settings.more.image = Float32Array.from(image);
    for await (const { s, x, x0 } of samplingSteps(denoiser, card, settings)) {
      steps.push({ s, looks: calls, x: [...x], x0: [...x0] });
      calls = [];
    }
    return steps;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = { answer: await ANSWERS[question.ask](question) };
  } catch (error) {
    answer = { error: error.stack };
  }
  console.log(JSON.stringify(answer));
}
