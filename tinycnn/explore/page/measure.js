// Measure a slope: move a weight by a small step both ways, run the rest of the network, and compare the losses.

import { explainLoss, joinedActivation, run } from "./arithmetic/index.js";
import { offset } from "./safetensors.js";

/** By how much the weight is moved; in float64 this leaves some ten digits of the difference. */
const STEP = 1e-5;
/** How far the two may be apart, relative to the larger one: the terms are made of numbers that float32 has rounded. */
const TOLERANCE = 1e-3;
/** The same relative to the sizes of all terms together, which matters where they cancel; and what float64 rounds. */
const CANCELLED = 1e-5;
const TINY = 1e-9;

const wide = (array) => ({ shape: array.shape, data: Float64Array.from(array.data) });

/**
 * Return {h, above, below, numeric, sum, relative, agrees, kink} for a weight of layer `n` in the pass that is shown.
 *
 * `found` is what explainWeightGradient has returned: the sum of its terms is what is measured, without penalties.
 */
export async function measuredSlope(app, n, name, index, found) {
  const { description, arrays } = app.pass;
  if (description.mode === "training") throw new Error("The page measures in a pass as in prediction; choose that at the top.");
  const layers = app.network.layers.slice(n);
  const held = await Promise.all(layers.map((_, k) => app.layerArrays(n + k)));
  const weights = held.map((of) => Object.fromEntries(Object.entries(of).map(([key, array]) => [key, wide(array)])));
  const x = wide(n ? arrays[`${n - 1}.y`] : arrays.x);
  const { loss } = app.network;
  const joined = joinedActivation(layers, loss);
  const weight = weights[0][name];
  const at = offset(weight.shape, index);
  const middle = weight.data[at];
  const lossAt = (value) => {
    weight.data[at] = value;
    const passes = run({ layers }, weights, x);
    return explainLoss(loss, (joined < 0 ? passes.at(-1).y : passes[joined].z).data, { label: description.label }, joined >= 0).loss;
  };
  const [above, here, below] = [middle + STEP, middle, middle - STEP].map(lossAt);
  const numeric = (above - below) / (2 * STEP);
  const apart = Math.abs(numeric - found.sum);
  const larger = Math.max(Math.abs(numeric), Math.abs(found.sum));
  const sizes = found.parts.flatMap(({ terms }) => terms).reduce((sum, { product }) => sum + Math.abs(product), 0);
  const allowed = Math.max(TOLERANCE * larger, CANCELLED * sizes, TINY);
  return {
    h: STEP, above, below, numeric, sum: found.sum, relative: larger ? apart / larger : 0,
    agrees: apart <= allowed,
    kink: Math.abs(above - 2 * here + below) / STEP > allowed,
  };
}
