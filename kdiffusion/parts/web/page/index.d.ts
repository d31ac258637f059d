/** Sampling from a file that kdiffusion exported. */

/** What an exported file says of itself; docs/spec.md has all fields. */
export interface Card {
  format_version: number;
  /** Height, width, channels. */
  image_shape: [number, number, number];
  class_names: string[];
  /** Stands for no class: the number of classes. */
  null_label: number;
  dataset: string;
  prediction_type: "epsilon" | "x0" | "v";
  alphas_cumprod: number[];
  sampler: string;
  steps: number;
  timesteps?: number[] | null;
  coefficients?: number[][] | null;
  spacing?: string;
  clip?: boolean;
  variance?: string;
  guidance_strength: number;
  guidance_interval?: [number, number] | null;
  numbers?: CardNumber[] | null;
  image?: { channels: number; meaning: string } | null;
}

export interface CardNumber {
  name: string;
  unit: string;
  mean: number;
  std: number;
  low: number | null;
  high: number | null;
}

/** What is left out is as the card recommends. */
export interface Choices {
  /** A class, by number or name; the card's null label for none. */
  label?: number | string;
  /** Of each that the card names, in its unit. */
  numbers?: Record<string, number>;
  /** [H, W, C'] in -1 .. 1, for a model that is conditioned on one. */
  image?: Float32Array;
  /** 0 .. 2^64 - 1; above 2^53 - 1 a bigint or a string, since a number would be rounded. */
  seed?: number | bigint | string;
  steps?: number;
  /** In place of `steps`: those to visit, falling. */
  timesteps?: number[];
  /** w of Ho & Salimans 2022; 0 is the plain conditional model. */
  guidance?: number;
  sampler?: string;
}

export interface Image {
  width: number;
  height: number;
  /** RGBA, as `ImageData` takes it. */
  data: Uint8ClampedArray<ArrayBuffer>;
}

/** The image so far. */
export interface Step extends Image {
  index: number;
  /** The timestep of `x`; -1 at the end. */
  s: number;
  x: Float64Array;
  /** The clean image as it was predicted here. */
  x0: Float64Array;
}

export class Model {
  /** @param denoiser function of (noisy image, timestep, label, more) that gives the prediction */
  constructor(denoiser: any, card: Card);
  readonly card: Card;
  /** @throws {RangeError} names the choice, what it must be and what was received */
  draw(choices?: Choices): Promise<Image>;
  /** @throws {RangeError} as `draw` */
  steps(choices?: Choices): AsyncGenerator<Step, void, void>;
}

/** The part of `onnxruntime-web` or `onnxruntime-node` that is used. */
export interface Runtime {
  InferenceSession: { create(file: Uint8Array, options?: any): Promise<any> };
  Tensor: any;
}

/**
 * Opens an exported file. It refuses one that is cut short or damaged, and a runtime that computes
 * something else than the file expects.
 *
 * @param options of `ort.InferenceSession.create`
 */
export function open(ort: Runtime, file: Uint8Array, options?: object): Promise<Model>;
