// Compare what this browser computes with what the engine has computed, array by array.

import { backpropagate, run } from "../arithmetic/index.js";
import { joinedActivation } from "../arithmetic/loss.js";
import { hasPenalty, keptIn } from "./computing.js";

/** How far an array may be from the engine's, relative to the largest number of that array. */
export const TOLERANCE = 1e-5;

/**
 * Return the largest difference of two arrays, relative to the largest number that is expected, or to `least` if that is
 * larger. It is infinite if their lengths differ, or if one has a number where the other has none.
 */
export function apart(found, expected, least = 0) {
  if (found.data.length !== expected.data.length) return Infinity;
  let [difference, scale] = [0, least];
  for (let n = 0; n < expected.data.length; n += 1) {
    const [one, other] = [found.data[n], expected.data[n]];
    if (Object.is(one, other) || one === other) {
      if (Number.isFinite(other)) scale = Math.max(scale, Math.abs(other));
    } else if (Number.isFinite(one) && Number.isFinite(other)) {
      difference = Math.max(difference, Math.abs(one - other));
      scale = Math.max(scale, Math.abs(other));
    } else return Infinity;
  }
  return difference === 0 ? 0 : difference / scale;
}

/**
 * Yield [layer, name of an array, how far it is from the recorded one] for a recorded pass in prediction.
 *
 * Forward runs from end to end. Backward then gets what the engine's forward has kept, and each layer the gradient that
 * the engine has handed it: whether a number just beside a kink lies left or right of it, and which of two equal numbers
 * wins a pooling, is decided by the last bit, and a probability near 1 loses its digits in p - 1. Neither of these is a
 * mistake of the layers before, which all of it would look like.
 */
export function* differences(network, weights, { description, arrays, gradients }, backward) {
  const passes = run(network, weights, arrays.x);
  for (const [n, pass] of passes.entries()) {
    for (const name of ["z", "y"]) {
      const expected = arrays[`${n}.${name}`];
      if (expected) yield [n, name, apart(pass[name], expected)];
    }
  }
  if (!backward) return;
  const handed = network.layers.map((_, n) => arrays[`${n}.dy`]);
  const kept = keptIn(network, arrays);
  const { layers, loss } = backpropagate(network, weights, kept, { label: description.label }, handed);
  if (!hasPenalty(network)) {
    const joined = joinedActivation(network.layers, network.loss);
    const sizes = kept.at(joined < 0 ? -1 : joined)[joined < 0 ? "y" : "z"].data.map(Math.abs); // the loss is their difference
    const least = sizes.reduce((most, size) => (size > most ? size : most), 1);
    yield [layers.length - 1, "the loss", apart({ data: [loss] }, { data: [Number(description.loss)] }, least)];
  }
  // The loss subtracts numbers of about 1.
  yield [layers.length - 1, "dy", apart(layers.at(-1).dy, handed.at(-1), 1)];
  for (let n = layers.length - 1; n >= 0; n -= 1) {
    for (const [name, found] of Object.entries(layers[n].gradients)) {
      const expected = gradients?.[n][`d_${name}`]; // there is none of a frozen parameter, and of most passes
      if (expected) yield [n, `d_${name}`, apart(found, expected)];
    }
    yield [n, "dx", apart(layers[n].dx, arrays[`${n}.dx`] ?? arrays[`${n - 1}.dy`])];
  }
}
