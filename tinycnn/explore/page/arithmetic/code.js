/** Lines of Python that print a number of the page, to the bit, from the arrays of `model.trace`. */
import { sizes } from "./convolution.js";
import { positionOf } from "./pooling.js";

/**
 * Return text as a literal of Python.
 *
 * JSON's escapes are Python's, except that Python does not join two \u escapes into one character. What is not printed
 * as itself, such as marks that turn the direction of writing, is escaped.
 */
export function quoted(text) {
  return JSON.stringify(String(text)).replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) =>
    `\\U${character.codePointAt(0).toString(16).padStart(8, "0")}`);
}

/** Return an index as Python writes it between brackets. */
function written(index) {
  if (index.every((n) => Number.isInteger(n) && n >= 0)) return index.join(", ");
  throw new RangeError(`index must be whole numbers from 0; got ${JSON.stringify(index)}`);
}

/** Return the expression for one number of a layer's trace. */
function expression(layer, index, what, training) {
  const whole = written(index);
  if (["x", "y", "z", "dy", "dx", "mask"].includes(what)) return `${what}[0, ${whole}]`;
  if (what === "argmax") {
    const [position, c] = positionOf(index);
    return `cache.argmax[${written([0, ...position, c])}]`;
  }
  if (layer.kind === "BatchNormalization" && ["mean", "variance"].includes(what)) {
    return training ? `cache.${what}[${whole}]` : `buffers["moving_${what}"][${whole}]`;
  }
  if (Object.hasOwn(layer.parameters, what)) return `parameters[${quoted(what)}][${whole}]`;
  if (Object.hasOwn(layer.buffers, what)) return `buffers[${quoted(what)}][${whole}]`;
  if (what.startsWith("d_")) return `gradients[${quoted(what.slice(2))}][${whole}]`;
  throw new Error(`layer ${JSON.stringify(layer.name)} has no array ${JSON.stringify(what)}`);
}

/** Return Python's expression for the labels of a pass, in the form that the loss takes. */
function labelsOf({ label, images, loss, outputs }) {
  const first = outputs === 1 && Number.isFinite(label) ? String(label) : written([label]); // one output may be to give any number
  const labels = images > 1 ? `np.concatenate([[${first}], y_train[:${images - 1}]])` : `[${first}]`;
  if (!loss || loss.name === "sparse_categorical_crossentropy") return labels;
  return outputs === 1 ? `np.array(${labels})[:, None]` : `np.eye(${outputs})[${labels}]`;
}

/** Whether an array is there only in a pass with labels. */
const needsLabels = (what) => ["dy", "dx", "argmax"].includes(what) || what.startsWith("d_");

/**
 * Return the lines that print one number of a layer: `index`, without the batch axis, in the array `what`.
 *
 * `what` is as in the data protocol (y, z, x, dy, dx, mask, argmax, mean, variance, kernel, d_kernel, …), "epsilon" for
 * that of a batch normalization, or "products" for the arithmetic of a convolution or a Dense. `label` is that of the
 * image, for gradients; `training` says whether the trace is one of training, and `images` how many its batch has: this
 * one and the first of the training set. `loss` is described as in the data protocol, and `outputs` is their number.
 */
export function codeFor(layer, index, what, { label = null, training = false, images = 1, loss = null, outputs = 1 } = {}) {
  const labels = label !== null && needsLabels(what) ? labelsOf({ label, images, loss, outputs }) : "";
  const batch = images > 1 ? `np.concatenate([x[None], x_train[:${images - 1}]])` : "x[None]";
  const given = [batch, ...(labels ? [labels] : []), ...(training ? [] : ["training=False"])].join(", ");
  const number = what === "products" ? products(layer, index)
    : [what === "epsilon" ? "print(layer.layer.epsilon)" : `print(layer.${expression(layer, index, what, training)})`];
  const lines = [`trace = model.trace(${given})`, `layer = trace[${quoted(layer.name)}]`, ...number];
  return lines.some((line) => line.includes("np.")) ? ["import numpy as np", ...lines] : lines;
}

/** Return the lines that build z from patch and kernel; their sum is in doubles, so its last bits can differ. */
function products(layer, index) {
  const z = written([0, ...index]);
  const last = index.at(-1);
  const bias = Object.hasOwn(layer.parameters, "bias") ? ` + layer.parameters["bias"][${last}]` : "";
  const sum = ["products = values.astype(np.float64) * kernel", `print(products.sum()${bias}, layer.z[${z}])`];
  if (layer.kind === "Dense") {
    const row = written([0, ...index.slice(0, -1)]);
    return [`values = layer.x[${row}]`, `kernel = layer.parameters["kernel"][:, ${last}]`, ...sum];
  }
  const { F, CG, FG } = sizes(layer);
  const { size, strides, dilation, pads: [top, bottom, left, right] } = layer.window;
  const [rows, columns] = [0, 1].map((axis) => {
    const start = index[axis] * strides[axis];
    return `${start}:${start + dilation[axis] * (size[axis] - 1) + 1}:${dilation[axis]}`;
  });
  const c = Math.floor(last / FG) * CG;
  return [
    `padded = np.pad(layer.x[0], ((${top}, ${bottom}), (${left}, ${right}), (0, 0)))`,
    `values = padded[${rows}, ${columns}, ${c}:${c + CG}]`,
    `kernel = layer.parameters["kernel"].reshape(${size.join(", ")}, ${CG}, ${F})[..., ${last}]`,
    ...sum,
  ];
}
