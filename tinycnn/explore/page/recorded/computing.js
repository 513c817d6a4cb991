// One image through a network and back, computed in this browser, in the form of the data protocol.

import { isKnown } from "../arithmetic/activations.js";
import { backpropagate, run } from "../arithmetic/index.js";
import { asProbabilities, explainLoss, joinedActivation, penaltySlope } from "../arithmetic/loss.js";

/** Return why this browser cannot compute the layers of a network, or "" if it can. */
function ofValues({ layers }) {
  const own = layers.find(({ kind, activation }) => kind === "own" || !isKnown(activation));
  if (!own) return "";
  return `only Python can compute the layer ${own.name}, because ${own.kind === "own" ? "it" : "its activation"} is a class of your own`;
}

/** Return why this browser cannot compute gradients, given a recorded pass. */
function ofGradients({ layers, loss }, { description, arrays }) {
  const joined = joinedActivation(layers, loss);
  const numbers = joined < 0 ? arrays[`${layers.length - 1}.y`] : keptIn({ layers }, arrays)[joined].z;
  try {
    explainLoss(loss, numbers.data, { label: description.label }, joined >= 0);
  } catch (error) {
    if (error.constructor !== Error) throw error; // arithmetic/ raises a plain Error for what only Python can compute
    return error.message;
  }
  const own = layers.find((layer) => Object.keys(layer.parameters).some((name) => penaltySlope(layer, name, 1) === null));
  return own ? `only Python can compute the penalty on the weights of ${own.name}` : "";
}

/** Return {values, gradients}: for each why this browser cannot compute them, and "" if it can. */
export function refusals(network, pass) {
  const values = ofValues(network);
  return { values, gradients: values || ofGradients(network, pass) };
}

/** Return what forward kept in a recorded pass, as `run` returns it. */
export function keptIn({ layers }, arrays) {
  return layers.map((layer, n) => {
    const x = n ? arrays[`${n - 1}.y`] : arrays.x;
    const y = arrays[`${n}.y`];
    // The engine does not keep the same numbers twice: see `of_trace` in protocol.py.
    const z = arrays[`${n}.z`] ?? (layer.activation && !layer.parameters.kernel ? x : y);
    return { x, y, z, argmax: arrays[`${n}.argmax`] };
  });
}

/** Return the gradients of parameters in a recorded pass, computed from the numbers that the engine had there. */
export function gradientsIn(network, weights, { description, arrays }) {
  const handed = network.layers.map((_, n) => arrays[`${n}.dy`]);
  return named(backpropagate(network, weights, keptIn(network, arrays), { label: description.label }, handed));
}

const named = ({ layers }) => layers.map(({ gradients }) =>
  Object.fromEntries(Object.entries(gradients).map(([name, array]) => [`d_${name}`, array])));

/** Return the place of the largest number. */
const largest = (data) => data.reduce((best, value, at) => (value > data[best] ? at : best), 0);

/**
 * Return {label, loss, arrays, gradients} of an image; without `backward`, there are only values.
 *
 * `label` null is the most probable class, or the target 0 of a network that gives a number, as in labels.py. `gradients` has for each layer those of its parameters as `d_NAME`; `loss` is
 * without the penalties on weights, and null if there are any.
 */
export function computed(network, weights, x, label, { backward }) {
  const passes = run(network, weights, x);
  const { data } = passes.at(-1).y;
  const used = label ?? (network.gives_one_number ? 0 : largest(data.length === 1 ? asProbabilities(network, data) : data));
  const arrays = { x };
  for (const [n, { y, z, argmax }] of passes.entries()) {
    arrays[`${n}.y`] = y;
    if (z && z !== y) arrays[`${n}.z`] = z;
    if (argmax) arrays[`${n}.argmax`] = argmax;
  }
  if (!backward) return { label: used, loss: null, arrays, gradients: [] };
  const found = backpropagate(network, weights, passes, { label: used });
  for (const [n, { dy, dx }] of found.layers.entries()) Object.assign(arrays, { [`${n}.dy`]: dy, [`${n}.dx`]: dx });
  return { label: used, loss: hasPenalty(network) ? null : found.loss, arrays, gradients: named(found) };
}

/** Return whether a layer's weights are penalized, so that this browser's loss is not all of the engine's. */
export const hasPenalty = ({ layers }) =>
  layers.some(({ settings }) => Object.entries(settings ?? {}).some(([name, value]) => name.endsWith("_regularizer") && value));
