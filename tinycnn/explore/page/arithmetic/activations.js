/**
 * Activation functions: y = f(z), and their slopes. `activation` is the name with its constants, such as
 * `{name: "leaky_relu", negative_slope: 0.2}`, or null. Softmax works on each last axis as a whole.
 *
 * Like the engine, backward finds the slope from y, except for gelu, whose y does not determine it.
 */
import { constant, map, place, rounded } from "./arrays.js";
import { difference, sumOf } from "./explanation.js";

/** Return 1 - erf(x), accurate also where it is tiny. */
export function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  const density = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    // erf(x) = 2/sqrt(pi) exp(-x²) (x + 2x³/3 + 4x⁵/15 + …), a series without a minus, so nothing cancels.
    let term = x;
    let series = x;
    for (let n = 1; term > 1e-17 * series; n++) series += term *= (2 * x * x) / (2 * n + 1);
    return 1 - 2 * density * series;
  }
  // exp(-x²)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), from the inside to the outside.
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return density / fraction;
}

/** Return the share of a standard normal distribution below z. */
const shareBelow = (z) => 0.5 * erfc(-z / Math.SQRT2);

/** The functions, with their `constant` c; `kinked`: whether the slope jumps at 0, unless it is 1 on both sides. */
const FUNCTIONS = {
  linear: { value: (z) => z, slope: () => 1 },
  relu: { value: (z) => (z <= 0 ? 0 : z), slope: (z, y) => (y > 0 ? 1 : 0), kinked: true },
  leaky_relu: {
    constant: "negative_slope",
    value: (z, c) => (z > 0 ? z : c * z),
    slope: (z, y, c) => (y > 0 ? 1 : c),
    kinked: true,
  },
  elu: {
    constant: "alpha",
    value: (z, c) => (z > 0 ? z : c * Math.expm1(z)),
    slope: (z, y, c) => (y > 0 ? 1 : y + c),
    kinked: true,
  },
  gelu: {
    value: (z) => z * shareBelow(z),
    slope: (z) => shareBelow(z) + (z * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI),
  },
  // With exp(-|z|), nothing overflows.
  sigmoid: { value: (z) => (z < 0 ? Math.exp(z) : 1) / (1 + Math.exp(-Math.abs(z))), slope: (z, y) => y * (1 - y) },
  tanh: { value: Math.tanh, slope: (z, y) => 1 - y * y },
};

const nameOf = (activation) => activation?.name ?? "linear";
export const isSigmoid = (activation) => nameOf(activation) === "sigmoid";
export const isSoftmax = (activation) => nameOf(activation) === "softmax";
/** Whether these modules know the function; a class of a user's own is known to Python alone. */
export const isKnown = (activation) => isSoftmax(activation) || Object.hasOwn(FUNCTIONS, nameOf(activation));

/** Return `value(z)` and `slope(z, y)`, with the constant filled in, and whether z = 0 is a kink. */
function functionsOf(activation, array) {
  if (!isKnown(activation)) throw new Error("the activation is a class of your own; only Python can compute it");
  const { constant: name, value, slope, kinked = false } = FUNCTIONS[nameOf(activation)];
  const c = name && constant(activation[name], array);
  return { value: (z) => value(z, c), slope: (z, y) => slope(z, y, c), kink: kinked && slope(0, 0, c) !== 1 };
}

/** Return the softmax of a row in steps; the shift by the largest keeps exp from overflowing. */
export function softmaxOf(row) {
  const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const shifted = Array.from(row, (z) => z - largest);
  const exponentials = shifted.map(Math.exp);
  return { largest, shifted, exponentials, total: sumOf(exponentials) };
}

/** Return y = f(z) for a whole array. */
export function activate(activation, z) {
  if (!isSoftmax(activation)) return map(z, functionsOf(activation, z).value);
  const y = new Float64Array(z.data.length);
  const K = z.shape.at(-1);
  for (let start = 0; start < y.length; start += K) {
    const { exponentials, total } = softmaxOf(z.data.subarray(start, start + K));
    y.set(exponentials.map((e) => e / total), start);
  }
  return rounded(y, z.shape, z);
}

/** Return dz, the gradient before the activation, in doubles. */
export function throughActivation(activation, { y, z }, dy) {
  const dz = Float64Array.from(dy.data);
  if (isSoftmax(activation)) {
    const K = y.shape.at(-1);
    for (let start = 0; start < dz.length; start += K) {
      let mean = 0;
      for (let k = start; k < start + K; k++) mean += dy.data[k] * y.data[k];
      for (let k = start; k < start + K; k++) dz[k] = y.data[k] * (dy.data[k] - mean);
    }
  } else {
    const { slope } = functionsOf(activation, y);
    dz.forEach((d, k) => { dz[k] = d * slope(z.data[k], y.data[k]); });
  }
  return { shape: dy.shape, data: dz };
}

/** Return the slope at one place of the data; null for softmax, where it is a matrix, and for one's own function. */
export function slopeAt(activation, { y, z }, where) {
  if (isSoftmax(activation) || !isKnown(activation)) return null;
  return functionsOf(activation, y).slope(z.data[where], y.data[where]);
}

/**
 * Return what an activation made of one number: before, after, slope, and whether it lies at a kink; and what it should
 * have made of it, `shown`, with the slope there, `shownSlope`.
 */
export function explainActivation(activation, { y, z }, index) {
  const where = place(z.shape, index);
  const [before, after] = [z.data[where], y.data[where]];
  const found = { ...activation, before, after, slope: slopeAt(activation, { y, z }, where), kink: false };
  if (!isKnown(activation)) return { ...found, kink: null, shown: null, shownSlope: null, rounding: null };
  if (!isSoftmax(activation)) {
    const { value, slope, kink } = functionsOf(activation, z);
    const shown = value(before);
    return { ...found, kink: kink && before === 0, shown, shownSlope: slope(before, shown), rounding: difference(after, shown) };
  }
  const start = where - index.at(-1);
  const { largest, shifted, exponentials, total } = softmaxOf(z.data.subarray(start, start + z.shape.at(-1)));
  const terms = exponentials.map((product, k) =>
    ({ from: [...index.slice(0, -1), k], x: z.data[start + k], shifted: shifted[k], exponential: product, product }));
  const shown = exponentials[index.at(-1)] / total;
  return { ...found, largest, terms, sum: total, shown, shownSlope: null, rounding: difference(after, shown) };
}
