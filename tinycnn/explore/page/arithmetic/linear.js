/**
 * Layers whose results are sums of products: y[k] = act(sum of x[i] * factor + offset). Nearly all layers are.
 *
 * A family of layers says in `each` which products there are, and everything follows from that: the sums (forward), the
 * same products the other way round (backward), and the terms of a single number (the explanations).
 *
 * - `each(layer, arrays, visit, wanted)` calls `visit(xAt, yAt, wAt, factor, channel)` for each product, with places in
 *   the data: `xAt` is -1 for a pad, `wAt` the place in the kernel, or the number of a tap. If `factor` is null, x is not
 *   passed on, whatever it is. `wanted` may name the only result, input or weight (`y`, `x`, `kernel`) of interest.
 * - `keep(layer, x)` returns what backward needs besides, `offset(layer, arrays, yAt)` what is added (the bias), and
 *   `more(layer, arrays, index, terms)` what its explanation has besides.
 */
import { activate, explainActivation, isKnown, isSoftmax, slopeAt, throughActivation } from "./activations.js";
import { indexAt, place, rounded, size, valueAt } from "./arrays.js";
import { difference, explained, explainedGradient, part, unknown } from "./explanation.js";
import { penaltySlope } from "./loss.js";

const OWN = "The activation is a class of your own; Python computes its slope.";
const SOFTMAX = "Softmax makes dz = y × (dy − the sum of dy × y over the row).";

/** Return what a softmax's gradient is made of at an index of its input; nothing if the softmax comes after products. */
function summed(layer, { y, dy }, index) {
  if (Object.keys(layer.parameters).length) return "";
  const at = place(y.shape, index);
  const length = y.shape.at(-1);
  const first = at - (at % length);
  let sum = 0;
  for (let k = first; k < first + length; k++) sum += dy.data[k] * y.data[k];
  const written = (value) => Number(value.toPrecision(6));
  return ` Here y is ${written(y.data[at])}, dy is ${written(dy.data[at])}, and the sum is ${written(sum)}.`;
}

/** Return the values before the activation: those that the engine has kept, or what they are equal to. */
const before = (layer, { x, y, z }) => z ?? (layer.activation && !layer.parameters.kernel ? x : y);

/** Return a function that begins a term of a gradient with what it takes from one result. */
function resultsOf(layer, arrays, joined) {
  const [{ y, dy }, z] = [arrays, before(layer, arrays)];
  const dz = joined ? dy : throughActivation(layer.activation, { y, z }, dy);
  return (yAt) => {
    const slope = joined ? 1 : slopeAt(layer.activation, { y, z }, yAt);
    return { from: indexAt(y.shape, yAt), dy: dy.data[yAt], slope, dz: dz.data[yAt] };
  };
}

/** Return the factor of a term, where it stands, and its product with a number. */
function factored(layer, { w }, number, factor, wAt) {
  const product = factor === null ? 0 : number * factor;
  const found = { factor: factor ?? 0, product };
  return wAt < 0 ? found : { ...found, at: indexAt(w.kernel?.shape ?? layer.window.size, wAt) };
}

function partsBy(terms, groups, title, products) {
  return [...new Set(groups)].map((group) => {
    const members = terms.filter((_, n) => groups[n] === group);
    return part(group === undefined ? products : `${title} ${group}`, group ?? null, members);
  });
}

const biasAt = (layer, { w }, yAt) => (w.bias ? w.bias.data[yAt % w.bias.data.length] : null);

/** Return the functions of a family of layers, which `layers.js` chooses by a layer's kind. */
export const linear = ({ each, keep = () => ({}), offset = biasAt, more = () => ({}) }) => ({
  forward(layer, x, w) {
    const kept = keep(layer, x);
    const sums = new Float64Array(size(layer.output_shape));
    each(layer, { x, w, ...kept }, (xAt, yAt, wAt, factor) => {
      if (xAt >= 0 && factor !== null) sums[yAt] += x.data[xAt] * factor;
    });
    sums.forEach((sum, yAt) => { sums[yAt] = sum + offset(layer, { x, w }, yAt); });
    const z = rounded(sums, layer.output_shape, x);
    return { y: layer.activation ? activate(layer.activation, z) : z, z, ...kept };
  },

  backward(layer, x, w, kept, dy, joined) {
    const dz = joined ? dy : throughActivation(layer.activation, kept, dy);
    const dx = new Float64Array(x.data.length);
    const kernel = w.kernel && new Float64Array(w.kernel.data.length);
    each(layer, { ...kept, x, w }, (xAt, yAt, wAt, factor) => {
      if (xAt < 0 || factor === null) return;
      dx[xAt] += dz.data[yAt] * factor;
      if (kernel) kernel[wAt] += dz.data[yAt] * x.data[xAt];
    });
    const gradients = {};
    if (kernel) gradients.kernel = rounded(kernel, w.kernel.shape, x);
    if (w.bias) {
      const bias = new Float64Array(w.bias.data.length);
      dz.data.forEach((d, yAt) => { bias[yAt % bias.length] += d; });
      gradients.bias = rounded(bias, w.bias.shape, x);
    }
    return { dx: rounded(dx, x.shape, x), gradients };
  },

  explain(layer, arrays, index) {
    const [{ x, y }, z] = [arrays, before(layer, arrays)];
    const [where, terms, channels] = [place(y.shape, index), [], []];
    each(layer, arrays, (xAt, yAt, wAt, factor, channel) => {
      if (yAt !== where) return;
      const [from, value] = xAt < 0 ? [null, 0] : [indexAt(x.shape, xAt), x.data[xAt]];
      terms.push({ from, x: value, ...factored(layer, arrays, value, factor, wAt) });
      channels.push(channel);
    }, { y: index });
    const found = explained(layer, index, partsBy(terms, channels, "channel", "x × factor"), { y: y.data[where] });
    if (layer.activation) {
      found.activation = explainActivation(layer.activation, { y, z }, index);
      found.z = found.activation.before;
    }
    found.bias = offset(layer, arrays, where);
    found.rounding = difference(found.z ?? found.y, found.sum + found.bias);
    return Object.assign(found, more(layer, arrays, index, terms));
  },

  inputGradient(layer, arrays, index, { joined = false } = {}) {
    const value = valueAt(arrays.dx, index);
    if (!joined && !isKnown(layer.activation)) return unknown(layer, "dx", index, value, OWN);
    const result = resultsOf(layer, arrays, joined);
    const [where, terms, filters] = [place(arrays.x.shape, index), [], []];
    each(layer, arrays, (xAt, yAt, wAt, factor, channel) => {
      if (xAt !== where) return;
      const begun = result(yAt);
      terms.push({ ...begun, ...factored(layer, arrays, begun.dz, factor, wAt) });
      filters.push(channel === undefined ? channel : begun.from.at(-1));
    }, { x: index });
    const found = explainedGradient(layer, "dx", index, partsBy(terms, filters, "filter", "dz × factor"), value);
    return isSoftmax(layer.activation) && !joined ? { ...found, note: `${SOFTMAX}${summed(layer, arrays, index)}` } : found;
  },

  weightGradient(layer, arrays, name, index, { joined = false, images = 1 } = {}) {
    const { x, y, w } = arrays;
    const value = valueAt(arrays[`d_${name}`], index);
    if (!joined && !isKnown(layer.activation)) return unknown(layer, name, index, value, OWN);
    const result = resultsOf(layer, arrays, joined);
    const [where, terms] = [place(w[name].shape, index), []];
    const add = (yAt, factor, found) => {
      const begun = result(yAt);
      terms.push({ ...begun, ...found, product: begun.dz * factor });
    };
    if (name === "bias") {
      for (let yAt = where; yAt < y.data.length; yAt += w.bias.data.length) add(yAt, 1);
    } else {
      each(layer, arrays, (xAt, yAt, wAt) => {
        if (wAt === where && xAt >= 0) add(yAt, x.data[xAt], { input: indexAt(x.shape, xAt), x: x.data[xAt] });
      }, { kernel: index });
    }
    return withPenalty(layer, arrays, name, index, [part("dz × x", null, terms)], images);
  },
});

/**
 * Return the explanation of a parameter's gradient, with what its penalty adds.
 *
 * The engine's array holds the sum over all images of the batch; with more than one, it says nothing about this one's.
 */
export function withPenalty(layer, arrays, name, index, parts, images) {
  const found = explainedGradient(layer, name, index, parts, valueAt(arrays[`d_${name}`], index));
  const penalty = penaltySlope(layer, name, valueAt(arrays.w[name], index));
  const comparable = found.value !== null && penalty !== null && images === 1;
  const rounding = comparable ? difference(found.value, found.sum + penalty) : null;
  return { ...found, penalty, only: images > 1 ? "this image" : null, rounding };
}
