/**
 * The workers that sample, one image at a time each, for what was asked last. It imports nothing: the
 * first worker is on its way while the page's other modules are.
 */

// `runtime=wasm` or `runtime=webgpu` in the link asks for one; it changes no image.
export const wantedRuntime = new URLSearchParams(location.search).get("runtime");

const MOST = 4; // workers
const MOST_BYTES = 64 * 2 ** 20; // of the model files of all workers but the first

const first = newWorker(wantedRuntime);
const early = []; // what it says before someone is there to receive it
listen(first, (message) => early.push(message));

function newWorker(runtime) {
  const address = new URL("worker.js", import.meta.url);
  if (runtime !== null) address.searchParams.set("runtime", runtime);
  return new Worker(address, { type: "module" });
}

function listen(worker, take) {
  worker.onmessage = ({ data }) => take(data);
  worker.onerror = ({ message = "" }) => take({ kind: "failed", id: null, message });
}

/**
 * A worker that is free takes the image that has waited longest. So no queue builds up while a slider
 * is dragged, and of many tiles each has its turn.
 *
 * @typedef {object} Request
 * @property {Map<number, Settings>} settings of each label
 * @typedef {{id: number, label: number, request: Request}} Task
 */
export class Pool {
  /**
   * @param {object} receive functions: `loading(message)`, `ready(message)`, `step(task, message)`,
   *   `done(task)`, `failed(message)`, and `finished()` when the last request is
   */
  constructor(receive) {
    Object.assign(this, { receive, slots: [], waiting: [], request: null, count: 0 });
    this.begun = new Map(); // label -> when its newest image began, as a count of images
    this.add(first);
    queueMicrotask(() => early.forEach((message) => this.take(this.slots[0], message)));
  }

  /** Asks for an image of each label, in place of what was asked before. */
  ask(request) {
    this.request = request;
    const begun = (label) => this.begun.get(label) ?? 0;
    this.waiting = [...request.settings.keys()].sort((a, b) => begun(a) - begun(b));
    this.feed();
  }

  /** Ends the images under way that were asked for before the last request. */
  hurry() {
    this.end((task) => task.request !== this.request);
    this.feed();
  }

  /** Ends all images. */
  stop() {
    [this.request, this.waiting] = [null, []];
    this.end(() => true);
  }

  end(isMeant) {
    for (const slot of this.slots.filter(({ task }) => task && isMeant(task))) {
      slot.task = null;
      slot.worker.postMessage({ id: null });
    }
  }

  /** Gives each free worker an image to sample. */
  feed() {
    for (const slot of this.slots.filter(({ ready, task }) => ready && !task)) {
      if (this.waiting.length === 0) break;
      const { request, count: id } = this;
      this.count += 1;
      const label = this.waiting.shift();
      this.begun.set(label, this.count);
      slot.task = { id, label, request };
      slot.worker.postMessage({ id, settings: request.settings.get(label) });
    }
    const underWay = this.slots.some(({ task }) => task?.request === this.request);
    if (this.request && this.waiting.length === 0 && !underWay) {
      this.request = null;
      this.receive.finished();
    }
  }

  add(worker) {
    const slot = { worker, ready: false, task: null };
    listen(worker, (message) => this.take(slot, message));
    this.slots.push(slot);
  }

  take(slot, message) {
    try {
      this.receiveFrom(slot, message);
    } catch (error) {
      this.receive.failed({ message: error.message }); // and not "Loading" for ever
    }
  }

  receiveFrom(slot, message) {
    const { kind, id = null } = message;
    if (id === null) this.opened(slot, message);
    else if (id === slot.task?.id) {
      const { task } = slot;
      if (kind !== "step") slot.task = null;
      if (kind === "failed") this.receive.failed(message);
      else this.receive[kind](task, message);
      if (kind === "done") this.grow();
    }
    this.feed();
  }

  /** A worker is on its way, ready, or could not be opened: without others the first goes on. */
  opened(slot, message) {
    slot.ready = message.kind === "ready";
    if (slot !== this.slots[0]) return;
    if (message.kind === "loading") this.bytes = message.loaded;
    if (message.kind === "ready") this.onProcessor = message.runtime.startsWith("WebAssembly");
    this.receive[message.kind](message);
  }

  /** Adds the other workers, once there is an image to look at, where each has a core. */
  grow() {
    if (this.slots.length > 1 || !this.onProcessor) return;
    const others = Math.min(MOST - 1, navigator.hardwareConcurrency - 1, MOST_BYTES / this.bytes);
    for (let i = 1; i <= others; i += 1) this.add(newWorker("wasm"));
  }
}
