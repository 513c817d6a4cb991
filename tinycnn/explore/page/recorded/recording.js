// A network, images and passes that were recorded, and what this browser can compute from them.

import { run } from "../arithmetic/index.js";
import { readable } from "../safetensors.js";
import { apart, differences, TOLERANCE } from "./check.js";
import { computed, gradientsIn, refusals } from "./computing.js";
import { fill, rowsOf, withCopies } from "./filling.js";

/** How many passes are kept, as by the server. */
const MOST_PASSES = 8;
const FROM_ENGINE = "Recorded from the engine, to the bit.";
const FROM_HERE = "Recomputed in this browser; the last digits can differ from the engine's.";

const size = (shape) => shape.reduce((product, length) => product * length, 1);

/** Return arrays whose names are "GROUP/NAME" as an object of groups. */
function grouped(arrays) {
  const groups = {};
  for (const [name, array] of Object.entries(arrays)) {
    const at = name.indexOf("/");
    (groups[name.slice(0, at)] ??= {})[name.slice(at + 1)] = array;
  }
  return groups;
}

/** Return arrays whose names are "3.kernel" as a list with an object for each layer. */
function byLayer({ layers }, arrays = {}) {
  const found = layers.map(() => ({}));
  for (const [name, array] of Object.entries(arrays)) {
    const at = name.indexOf(".");
    found[Number(name.slice(0, at))][name.slice(at + 1)] = array;
  }
  return found;
}

/**
 * Return the weights at each checkpoint of a training, and what the network answered there for the first image; `places`
 * has layer, name and shape of each array in a row.
 */
function checkpointsOf(network, { places }, { planes, answers }) {
  const Kind = network.dtype === "float64" ? Float64Array : Float32Array;
  return rowsOf(planes, Kind).map((row, k) => {
    let from = 0;
    const arrays = places.map(([layer, name, shape]) => {
      from += size(shape);
      return [`${layer}.${name}`, { shape, data: row.subarray(from - size(shape), from) }];
    });
    const length = answers.data.length / answers.shape[0];
    return { weights: byLayer(network, Object.fromEntries(arrays)), answer: { data: answers.data.subarray(k * length, (k + 1) * length) } };
  });
}

export class Recording {
  /** Take what `opened` has returned; recording.py says what is in it. */
  constructor({ description, arrays }) {
    const { set, labels, unit, differs, passes, copies, training } = description;
    const network = readable(description.network);
    Object.assign(this, { network, set, labels, unit, differs, training });
    withCopies(arrays, copies);
    const groups = grouped(arrays);
    this.images = groups.images.images;
    this.end = { weights: byLayer(network, groups.weights) };
    this.passes = passes.map((about, k) => {
      const gradients = groups[`gradients${k}`];
      fill(network, groups[`pass${k}`]);
      return { description: about, arrays: groups[`pass${k}`], gradients: gradients ? byLayer(network, gradients) : null };
    });
    this.checkpoints = training ? checkpointsOf(network, training, groups.training) : [];
    this.now = this.end;
    this.version = 1;
    this.count = 0;
    this.kept = new Map();
    this.own = [];
    this.refusals = refusals(network, this.passes[0]);
  }

  /**
   * Compute the recorded passes anew, and return the largest difference; raise an Error that names the layer if one is
   * beyond the tolerance. `before(description)` is awaited before each pass, so that the page can be painted.
   */
  async check(before = () => {}) {
    let most = 0;
    if (this.refusals.values) return most;
    for (const pass of this.passes.filter(({ description }) => description.mode === "prediction")) {
      await before(pass.description);
      for (const [n, name, off] of differences(this.network, this.end.weights, pass, !this.refusals.gradients)) {
        if (!(off <= TOLERANCE)) {
          throw new Error(`This recording is refused. In layer ${n}, ${this.network.layers[n].name}, ${name} as this browser `
            + `computes it for ${pass.description.image} is off by ${off.toExponential(1)} of the largest number that the `
            + `engine has there; the limit is ${TOLERANCE}. Either the file was changed, or this browser computes wrongly.`);
        }
        most = Math.max(most, off);
      }
    }
    return most;
  }

  /** Return the description of the network and of the images that can be looked at. */
  describe() {
    const count = this.refusals.values ? this.recordedIn("prediction").length : this.labels.length;
    const k = this.checkpoints.indexOf(this.now);
    const batches = k < 0 ? this.network.batches : this.training.steps[k];
    return { ...this.network, version: this.version, batches, sets: { [this.set]: count } };
  }

  recordedIn(mode) {
    return this.passes.filter(({ description }) => description.mode === mode).map(({ description }) => description.image);
  }

  /** Return {x, label, title} of an image, as the network takes it. */
  image(id) {
    const [which, at] = id.split("-");
    if (which === "own" && this.own[at - 1]) return this.own[at - 1];
    if (which !== this.set || !/^\d+$/.test(at) || Number(at) >= this.labels.length) {
      throw new Error(`image ${id} is not in this recording; ${this.set}-0 to ${this.set}-${this.labels.length - 1} are`);
    }
    const length = size(this.network.input_shape);
    const stored = this.images.data.subarray(at * length, (Number(at) + 1) * length);
    const x = stored instanceof Uint8Array ? this.fromBytes(stored) : this.fromNumbers(stored);
    return { x, label: this.labels[at], title: `${which} image ${at}` };
  }

  /** Return an image of bytes as the network takes it: b stands for the float32 number nearest to b / unit (255 or 1). */
  fromBytes(bytes) {
    return this.fromNumbers(Float32Array.from(bytes, (b) => b / this.unit));
  }

  fromNumbers(numbers) {
    const Kind = this.network.dtype === "float64" ? Float64Array : Float32Array;
    return { shape: this.network.input_shape, data: Kind.from(numbers) };
  }

  /** Keep an image of the reader's own, and return its id. */
  keep(x, title) {
    this.own.push({ x, label: null, title });
    return `own-${this.own.length}`;
  }

  /** Return {description, arrays} of a pass: recorded if it is there, computed otherwise. */
  trace(image, label, mode) {
    const remarks = [];
    let wanted = this.differs ? mode : "prediction"; // without layers that differ in training, the two are the same
    let pass = this.recorded(image, label, wanted);
    if (!pass && wanted === "training") {
      remarks.push(`A pass as in training was only recorded for ${this.recordedIn("training").join(", ")}; this is the pass as in prediction.`);
      wanted = "prediction";
      pass = this.recorded(image, label, wanted);
    }
    remarks.unshift(pass ? FROM_ENGINE : FROM_HERE);
    if (pass && !pass.gradients) remarks.push("The gradients of its parameters are recomputed in this browser.");
    if (!pass) {
      if (this.refusals.gradients) remarks.push(`Gradients were only recorded for ${this.recordedIn("prediction").join(", ")}: ${this.refusals.gradients}.`);
      pass = this.compute(image, label);
    }
    this.count += 1;
    this.kept.set(this.count, { ...pass, weights: this.now.weights });
    while (this.kept.size > MOST_PASSES) this.kept.delete(this.kept.keys().next().value);
    const about = { trace: this.count, version: this.version, remark: remarks.join(" "), mode: this.differs ? wanted : mode };
    return { description: { ...pass.description, ...about }, arrays: pass.arrays };
  }

  /** Return a recorded pass; those belong to the weights of the end. */
  recorded(image, label, mode) {
    const fits = ({ description }) =>
      description.image === image && description.mode === mode && (label === null || label === description.label);
    return this.now === this.end ? this.passes.find(fits) : undefined;
  }

  compute(image, label) {
    if (this.refusals.values) {
      throw new Error(`Only ${this.recordedIn("prediction").join(", ")} were recorded, each for its own class: ${this.refusals.values}`);
    }
    const { x, label: known, title } = this.image(image);
    const found = computed(this.network, this.now.weights, x, label ?? known, { backward: !this.refusals.gradients });
    const { kept } = this.passes[0].description; // the same for every image, because it follows from shapes
    return { description: { image, title, label: found.label, true: known, loss: found.loss, batch: 1, kept }, ...found };
  }

  /** Return what a layer held in a pass, by name. */
  layer(trace, n) {
    const pass = this.kept.get(trace);
    if (!pass) throw new Error("this pass is not kept any more; choose the image again");
    pass.gradients ??= this.refusals.gradients ? [] : gradientsIn(this.network, pass.weights, pass);
    return { ...pass.weights[n], ...pass.gradients[n] };
  }

  /** Show the network as it was after a step of its training that was recorded, given as a text; "": at the end. */
  use(step) {
    const k = (this.training?.steps ?? []).slice(0, -1).findIndex((one) => String(one) === step);
    if (k < 0 && step !== "" && step !== String(this.training?.steps.at(-1))) {
      throw new Error(`Step ${step.slice(0, 20)} is not among those of the training that were recorded; this is its end.`);
    }
    const wanted = k < 0 ? this.end : this.checkpoints[k];
    if (wanted === this.now) return;
    if (k >= 0) {
      const { arrays, description } = this.passes[0];
      const off = apart(run(this.network, wanted.weights, arrays.x).at(-1).y, wanted.answer);
      if (!(off <= TOLERANCE)) throw new Error(`This checkpoint is refused: its answer for ${description.image} is not the engine's.`);
    }
    this.now = wanted;
    this.version += 1;
  }
}
