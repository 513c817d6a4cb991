/**
 * Losses of one image, and penalties on weights. `loss` is `{name, from_logits, label_smoothing}`, or the name alone; a
 * target is `{label}`, or `{targets}` with a number for each output.
 *
 * Cross-entropy takes over a softmax before it: the gradient of the two together is p - t, for any numbers.
 */
import { isSoftmax, softmaxOf } from "./activations.js";
import { size } from "./arrays.js";
import { sumOf } from "./explanation.js";

const CROSSENTROPIES = ["sparse_categorical_crossentropy", "categorical_crossentropy"];

const described = (loss) => (typeof loss === "string" ? { name: loss } : (loss ?? {}));

/** Return the number of the layer with the softmax that ends the network, or -1; reshaping after it does not count. */
export function finalSoftmax(layers) {
  const end = layers.findLastIndex((layer) => !["Flatten", "Reshape"].includes(layer.kind));
  const { kind, activation, output_shape: shape } = layers[end] ?? { kind: "own" };
  return kind !== "own" && isSoftmax(activation) && size(shape) === shape.at(-1) ? end : -1;
}

/** Return the number of the layer whose softmax the loss has taken over, or -1. */
export function joinedSoftmax(layers, loss) {
  const { name, from_logits: onLogits } = described(loss);
  return CROSSENTROPIES.includes(name) && !onLogits ? finalSoftmax(layers) : -1;
}

/** Return the targets as one number for each of K outputs. */
export function targetsOf({ label, targets }, K, { name, label_smoothing: smoothing = 0 } = {}) {
  // One output stands for two classes, and its target is the class itself.
  if (!targets && K === 1 && (label === 0 || label === 1)) return [label];
  if (targets ? targets.length !== K : !(Number.isInteger(label) && label >= 0 && label < K)) {
    const got = JSON.stringify({ label, targets });
    throw new RangeError(`expected the number of an output, from 0 to ${K - 1}, or ${K} targets; got ${got}`);
  }
  const t = Array.from({ length: K }, (_, k) => (targets ? Number(targets[k]) : Number(k === label)));
  return name === "categorical_crossentropy" ? t.map((value) => value * (1 - smoothing) + smoothing / K) : t;
}

/**
 * Return the loss and its gradient with a term for each output: `{loss, terms: [{prediction, target, product}]}`.
 *
 * `numbers` are what the loss is given: those before the softmax if it is `joined`. The gradient of the mean of a batch
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
  if (!CROSSENTROPIES.includes(form.name)) throw new Error("only Python can compute this loss, a class of your own");
  if (!joined && !form.from_logits) throw new Error("without a softmax, only Python can compute this loss");
  const { shifted, exponentials, total } = softmaxOf(given);
  const share = sumOf(t);
  const p = exponentials.map((e) => e / total);
  const terms = p.map((prediction, k) => ({ prediction, target: t[k], product: prediction * share - t[k] }));
  return { loss: sumOf(shifted.map((z, k) => (t[k] === 0 ? 0 : t[k] * (Math.log(total) - z)))), terms };
}

/** Return what the penalty adds to the gradient of a weight: 2 * l2 * weight; null where only Python knows it. */
export function penaltySlope({ kind, parameters, settings }, name, weight) {
  if (!parameters[name]?.trainable) return 0;
  if (!settings) return null;
  const regularizer = settings[kind === "DepthwiseConv2D" && name === "kernel" ? "depthwise_regularizer" : `${name}_regularizer`];
  if (!regularizer) return 0;
  return regularizer.class_name === "L2" ? 2 * regularizer.config.l2 * weight : null;
}
