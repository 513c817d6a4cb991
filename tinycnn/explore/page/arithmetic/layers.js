/** One layer: forward, backward, and the explanations of single numbers, for whatever kind of layer it is. */
import { place, valueAt } from "./arrays.js";
import { convolution } from "./convolution.js";
import { dense } from "./dense.js";
import { difference, explained, explainedGradient, unknown } from "./explanation.js";
import { batchNorm } from "./norm.js";
import { average, maximum } from "./pooling.js";
import { dropout, gaussianNoise, rescaling, unchanged, zeroPadding } from "./shapes.js";

const NOTE = "This layer is a class of your own; only Python can compute it.";

function refuse(layer) {
  throw new Error(`${JSON.stringify(layer.name)}: ${NOTE}`);
}

/** A layer of a user's own: what it gave is known, but not how. */
const own = {
  forward: refuse,
  backward: refuse,
  explain: (layer, { y }, index) =>
    explained(layer, index, [], { sum: null, y: valueAt(y, index), rounding: null, note: NOTE }),
  inputGradient: (layer, { dx }, index) => unknown(layer, "dx", index, valueAt(dx, index), NOTE),
  weightGradient: (layer, arrays, name, index) => unknown(layer, name, index, valueAt(arrays[`d_${name}`], index), NOTE),
};

const FAMILIES = new Map(Object.entries({
  Conv2D: convolution, DepthwiseConv2D: convolution, Dense: dense, BatchNormalization: batchNorm,
  MaxPooling2D: maximum, GlobalMaxPooling2D: maximum, AveragePooling2D: average, GlobalAveragePooling2D: average,
  Activation: unchanged, ReLU: unchanged, LeakyReLU: unchanged, ELU: unchanged, Softmax: unchanged,
  Flatten: unchanged, Reshape: unchanged, ZeroPadding2D: zeroPadding, Rescaling: rescaling,
  Dropout: dropout, GaussianNoise: gaussianNoise,
}));

const familyOf = (layer) => FAMILIES.get(layer.kind) ?? own;

/** Return what a layer makes of x in prediction: `{y}`, and `z` (before the activation) and `argmax` if it has them. */
export const forward = (layer, x, w = {}) => familyOf(layer).forward(layer, x, w);

/**
 * Return `{dx, gradients}` in prediction, with `kept` what `forward` returned.
 *
 * With `joined`, `dy` is the gradient by the numbers before the layer's softmax, which the loss has taken over.
 */
export const backward = (layer, x, w, kept, dy, joined = false) =>
  familyOf(layer).backward(layer, x, w, kept, dy, joined);

/**
 * Return how `y[index]` came about; `arrays` are the engine's `{x, y, z, w, mask, argmax, mean, variance}`.
 *
 * `options`: `training`, whether this was a training step; `images`, how many images its batch had.
 */
export function explain(layer, arrays, index, options = {}) {
  place(arrays.y.shape, index);
  return familyOf(layer).explain(layer, { w: {}, ...arrays }, index, options);
}

/**
 * Return what `dx[index]` has collected; `arrays` hold `dy` and `dx` as well.
 *
 * `options` have `joined` as well: whether the loss has taken over the layer's softmax.
 */
export function explainInputGradient(layer, arrays, index, options = {}) {
  place(arrays.x.shape, index);
  return familyOf(layer).inputGradient(layer, { w: {}, ...arrays }, index, options);
}

/** Return what one image adds to `d_NAME[index]`, the gradient of a parameter; with the same `options`. */
export function explainWeightGradient(layer, arrays, name, index, options = {}) {
  if (!Object.hasOwn(layer.parameters, name) || !arrays.w[name]) {
    throw new Error(`layer ${JSON.stringify(layer.name)} has no parameter ${JSON.stringify(name)}`);
  }
  place(arrays.w[name].shape, index);
  return familyOf(layer).weightGradient(layer, arrays, name, index, options);
}

/**
 * Return what all images of a batch add to `d_NAME[index]`: the terms of each image are one of the sums. `batch` has the
 * arrays of each image; `images` of what is returned is how many there are.
 */
export function explainWeightGradientOfAll(layer, batch, name, index, options = {}) {
  const each = batch.map((arrays) => explainWeightGradient(layer, arrays, name, index, { ...options, images: 1 }));
  const [first] = each;
  if (first.sum === null) return first;
  const parts = each.flatMap((one, image) => one.parts.map((sum) => ({ ...sum, title: `image ${image}, ${sum.title}` })));
  const found = explainedGradient(layer, name, index, parts, first.value);
  const rounding = first.value === null ? null : difference(first.value, found.sum + (first.penalty ?? 0));
  return { ...found, penalty: first.penalty, only: null, rounding, images: batch.length };
}
