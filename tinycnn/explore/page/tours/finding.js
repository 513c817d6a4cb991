// What tours look for in whatever network is open: a layer, and a number in it that is worth looking at.

import { indexAt, offset } from "../safetensors.js";
import { layerPass } from "../selection.js";

/** Return the number of the first layer that fits, or -1. */
export const firstLayer = (app, fits) => app.network.layers.findIndex(fits);

export const isConvolution = ({ kind }) => ["Conv2D", "DepthwiseConv2D"].includes(kind);

/** Return the arrays of a layer in the pass that is shown. */
export const arraysAt = async (app, n) => layerPass(app.pass, n, await app.layerArrays(n));

/** Return the index of the number with the largest score(value, place), or null if no score is above `least`. */
export function best({ shape, data }, score, least = -Infinity) {
  let [at, most] = [-1, least];
  for (let k = 0; k < data.length; k += 1) {
    const found = score(data[k], k);
    if (found > most) [at, most] = [k, found];
  }
  return at < 0 ? null : indexAt(shape, at);
}

/** Return a number of an array. */
export const at = (array, index) => array.data[offset(array.shape, index)];

/** Return a whole number as people read it: 1,024. */
export const counted = (count) => count.toLocaleString("en");

/** Return a size as a text with three digits, and without an exponent unless it is tiny. */
export function plain(size) {
  if (size === 0 || size >= 1000) return String(Math.round(size));
  const digits = 2 - Math.floor(Math.log10(size));
  return digits > 9 ? size.toExponential(2) : String(Number(size.toFixed(digits)));
}

/** Return a probability with so many digits that three of what is left to 1 can be seen. */
export function probability(p) {
  return p > 0.5 && p < 1 ? p.toFixed(Math.min(9, 2 - Math.floor(Math.log10(1 - p)))) : plain(p);
}

/** Return an index as a text: (3, 4, 1). */
export const place = (index) => `(${index.join(", ")})`;

/** Return an index as the address writes it. */
export const written = (index) => index.join(",");
