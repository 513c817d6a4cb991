/**
 * Losses of one image, and penalties on weights. `loss` is `{name, from_logits, label_smoothing}`, or the name alone; a
 * target is `{label}`, or `{targets}` with a number for each output.
 *
 * Cross-entropy takes over a softmax before it, and binary cross-entropy a sigmoid: the gradient of the two together is
 * p - t, for any numbers.
 */
import { activate, isSigmoid, isSoftmax, softmaxOf } from "./activations.js";
import { size } from "./arrays.js";
import { sumOf } from "./explanation.js";

const CROSSENTROPIES = ["sparse_categorical_crossentropy", "categorical_crossentropy"];
const BINARY = "binary_crossentropy";
/** The binary cross-entropy keeps probabilities this far from 0 and 1, as the engine does. */
const CLIP = 1e-7;

const described = (loss) => (typeof loss === "string" ? { name: loss } : (loss ?? {}));

/** Return the number of the layer with the softmax that ends the network, or -1; reshaping after it does not count. */
export function finalSoftmax(layers) {
  const end = lastThatComputes(layers);
  const { activation, output_shape: shape } = layers[end] ?? {};
  return end >= 0 && isSoftmax(activation) && size(shape) === shape.at(-1) ? end : -1;
}

/** Return the number of the layer with the softmax or the sigmoid that ends the network, or -1. */
export function finalActivation(layers) {
  const end = lastThatComputes(layers);
  return end >= 0 && isSigmoid(layers[end].activation) ? end : finalSoftmax(layers);
}

/** Return the number of the layer whose softmax or sigmoid the loss has taken over, or -1. */
export function joinedActivation(layers, loss) {
  const { name, from_logits: onLogits } = described(loss);
  if (onLogits) return -1;
  const end = finalActivation(layers);
  if (name === BINARY) return end >= 0 && isSigmoid(layers[end].activation) ? end : -1;
  return CROSSENTROPIES.includes(name) ? finalSoftmax(layers) : -1;
}

/** Return the number of the last layer that does not only reshape, or -1 if that is a class of a user's own. */
function lastThatComputes(layers) {
  const end = layers.findLastIndex((layer) => !["Flatten", "Reshape"].includes(layer.kind));
  return end >= 0 && layers[end].kind !== "own" ? end : -1;
}

/** Return the targets as one number for each of K outputs. */
export function targetsOf({ label, targets }, K, { name, label_smoothing: smoothing = 0 } = {}) {
  // The target of a single output is the label itself: one of two classes, or the number that it is to give.
  const one = !targets && K === 1 && Number.isFinite(label);
  if (targets ? targets.length !== K : !one && !(Number.isInteger(label) && label >= 0 && label < K)) {
    const got = JSON.stringify({ label, targets });
    throw new RangeError(`expected the number of an output, from 0 to ${K - 1}, or ${K} targets; got ${got}`);
  }
  const t = one ? [label] : Array.from({ length: K }, (_, k) => (targets ? Number(targets[k]) : Number(k === label)));
  const even = { categorical_crossentropy: 1 / K, [BINARY]: 1 / 2 }[name];
  return even === undefined ? t : t.map((value) => value * (1 - smoothing) + smoothing * even);
}

/** Return probabilities of the classes, whatever the last layer is; tinycnn/inspection/answers.py has the same rules. */
export function asProbabilities({ layers, loss }, y) {
  const row = Array.from(y);
  if (!areScores(layers, loss, row)) return Float32Array.from(row.length === 1 ? [1 - row[0], row[0]] : row);
  if (row.length === 1) row.unshift(0);
  else if (described(loss).name === BINARY) return Float32Array.from(row, (z) => 1 / (1 + Math.exp(-z)));
  const { exponentials, total } = softmaxOf(row);
  return Float32Array.from(exponentials, (e) => e / total);
}

/** Return whether a network's results are scores, which can be any numbers, and not probabilities. */
function areScores(layers, loss, row) {
  if (loss?.from_logits) return true;
  const activation = layers[lastThatComputes(layers)]?.activation;
  if (activation && (activation.name === "linear" || isSigmoid(activation) || isSoftmax(activation))) return activation.name === "linear";
  return row.some((value) => value < 0 || value > 1);
}

/** Return 1 for the k-th of K outputs and 0 for the others: the gradient of its score. */
export function slopesOfScore(k, K) {
  if (!(Number.isInteger(k) && k >= 0 && k < K)) {
    throw new RangeError(`expected the number of an output, from 0 to ${K - 1}; got ${JSON.stringify(k)}`);
  }
  return Array.from({ length: K }, (_, at) => Number(at === k));
}

/**
 * Return the loss and its gradient with a term for each output: `{loss, terms: [{prediction, target, product}]}`.
 *
 * `numbers` are what the loss is given: those before the softmax or sigmoid if it is `joined`. The gradient of the mean of a batch
 * is 1/N of `product`, for N images.
 */
export function explainLoss(loss, numbers, target, joined) {
  const form = described(loss);
  const given = Array.from(numbers);
  const [K, t] = [given.length, targetsOf(target, given.length, form)];
  if (form.name === "mean_squared_error") {
    const terms = given.map((y, k) => ({ prediction: y, target: t[k], product: (2 / K) * (y - t[k]) }));
    return { loss: sumOf(given.map((y, k) => (y - t[k]) ** 2)) / K, terms };
  }
  if (form.name === BINARY) return explainBinary(given, t, joined || form.from_logits);
  if (!CROSSENTROPIES.includes(form.name)) throw new Error("only Python can compute this loss, a class of your own");
  if (!joined && !form.from_logits) throw new Error("without a softmax, only Python can compute this loss");
  const { shifted, exponentials, total } = softmaxOf(given);
  const share = sumOf(t);
  const p = exponentials.map((e) => e / total);
  const terms = p.map((prediction, k) => ({ prediction, target: t[k], product: prediction * share - t[k] }));
  return { loss: sumOf(shifted.map((z, k) => (t[k] === 0 ? 0 : t[k] * (Math.log(total) - z)))), terms };
}

/** Return the binary cross-entropy, the mean over all outputs, as `explainLoss` does, of logits or of probabilities. */
function explainBinary(given, t, onLogits) {
  const K = given.length;
  if (onLogits) {
    const p = activate({ name: "sigmoid" }, { shape: [K], data: Float64Array.from(given) }).data;
    const losses = given.map((z, k) => Math.max(z, 0) - z * t[k] + Math.log1p(Math.exp(-Math.abs(z))));
    const terms = given.map((_, k) => ({ prediction: p[k], target: t[k], product: (p[k] - t[k]) / K }));
    return { loss: sumOf(losses) / K, terms };
  }
  const p = given.map((y) => Math.min(Math.max(y, CLIP), 1 - CLIP));
  const losses = p.map((y, k) => -(t[k] * Math.log(y) + (1 - t[k]) * Math.log(1 - y)));
  const terms = p.map((y, k) => {
    const inside = y === given[k] && y > CLIP && y < 1 - CLIP;
    return { prediction: given[k], target: t[k], product: inside ? (y - t[k]) / (y * (1 - y)) / K : 0 };
  });
  return { loss: sumOf(losses) / K, terms };
}

/** Return what the penalty adds to the gradient of a weight: l1 * sign and 2 * l2 * weight; null where only Python knows. */
export function penaltySlope({ kind, parameters, settings }, name, weight) {
  if (!parameters[name]?.trainable) return 0;
  if (!settings) return null;
  const regularizer = settings[kind === "DepthwiseConv2D" && name === "kernel" ? "depthwise_regularizer" : `${name}_regularizer`];
  if (!regularizer) return 0;
  const { l1 = 0, l2 = 0 } = regularizer.config;
  return ["L1", "L2", "L1L2"].includes(regularizer.class_name) ? l1 * Math.sign(weight) + 2 * l2 * weight : null;
}
