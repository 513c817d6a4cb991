/**
 * BatchNormalization: y = gamma * x̂ + beta with x̂ = (x - mean) / sqrt(variance + epsilon), for each channel.
 *
 * In training mean and variance are those of the batch, so they depend on x too; in prediction, and where the layer is
 * frozen, they are the moving averages, which are constants.
 */
import { constant, indexAt, map, rounded, valueAt } from "./arrays.js";
import { difference, explained, explainedGradient, part, sumOf, unknown } from "./explanation.js";
import { withPenalty } from "./linear.js";
import { penaltySlope } from "./loss.js";

const NOTE = "Mean and variance depend on all images of the batch; trace one image alone to see what each adds.";

/** Return the five numbers of a channel, and the root that x - mean is divided by. */
function numbers(layer, { x, w, mean = w.moving_mean, variance = w.moving_variance }, c) {
  const found = {
    mean: valueAt(mean, [c]),
    variance: valueAt(variance, [c]),
    gamma: valueAt(w.gamma, [c]) ?? 1,
    beta: valueAt(w.beta, [c]) ?? 0,
    epsilon: constant(layer.settings.epsilon, x),
  };
  return { ...found, root: Math.sqrt(found.variance + found.epsilon) };
}

const everyChannel = (layer, x, w) => Array.from({ length: x.shape.at(-1) }, (_, c) => numbers(layer, { x, w }, c));

/** Return what one image adds to the gradient by gamma, sum dy * x̂, or by beta, sum dy. */
function sumOver({ x, dy }, name, c, { mean, root }) {
  const terms = [];
  for (let where = c; where < x.data.length; where += x.shape.at(-1)) {
    const factor = name === "gamma" ? (x.data[where] - mean) / root : 1;
    terms.push({ from: indexAt(x.shape, where), dy: dy.data[where], factor, product: dy.data[where] * factor });
  }
  return part(name === "gamma" ? "dy × x̂" : "dy", c, terms);
}

/** Whether the statistics are those of the batch. */
const isByBatch = (layer, training) => training && layer.settings.trainable !== false;

/**
 * Return what mean and variance of a channel of the only image of a batch should be, and by how much the engine's differ:
 * `{name, given, shown, rounding, size}` each, with the size that rounding is measured by.
 */
function statisticsOf({ x }, c, five) {
  const values = x.data.filter((_, where) => where % x.shape.at(-1) === c);
  const average = (numberOf) => sumOf(Array.from(values, numberOf)) / values.length;
  const mean = average(Number);
  const variance = average((value) => (value - mean) ** 2);
  return [
    { name: "mean", given: five.mean, shown: mean, rounding: difference(five.mean, mean), size: average(Math.abs) },
    { name: "variance", given: five.variance, shown: variance, rounding: difference(five.variance, variance), size: variance + 1e-6 * average((value) => value ** 2) },
  ];
}

export const batchNorm = {
  forward(layer, x, w) {
    const found = everyChannel(layer, x, w);
    const y = map(x, (value, where) => {
      const { mean, root, gamma, beta } = found[where % found.length];
      return ((value - mean) / root) * gamma + beta;
    });
    return { y };
  },

  backward(layer, x, w, kept, dy) {
    const found = everyChannel(layer, x, w);
    const dx = map(x, (_, where) => {
      const { gamma, root } = found[where % found.length];
      return dy.data[where] * (gamma / root);
    });
    const gradients = {};
    for (const name of ["gamma", "beta"].filter((one) => w[one])) {
      const sums = found.map((five, c) => sumOver({ x, dy }, name, c, five).sum);
      gradients[name] = rounded(sums, w[name].shape, x);
    }
    return { dx, gradients };
  },

  explain(layer, arrays, index, { training = false, images = 1 } = {}) {
    const c = index.at(-1);
    const [given, x, y] = [numbers(layer, arrays, c), valueAt(arrays.x, index), valueAt(arrays.y, index)];
    const statistics = isByBatch(layer, training) && images === 1 ? statisticsOf(arrays, c, given) : [];
    const made = ({ mean, root, gamma, beta }) => ((x - mean) / root) * gamma + beta;
    // If the statistics were returned wrong, but y was made from the right ones, those lead to it.
    const right = { ...given, ...Object.fromEntries(statistics.map(({ name, shown }) => [name, shown])) };
    right.root = Math.sqrt(right.variance + right.epsilon);
    const five = Math.abs(y - made(right)) < 1e-3 * Math.abs(y - made(given)) ? right : given;
    const normalised = (x - five.mean) / five.root;
    const product = normalised * five.gamma;
    const parts = [part("x̂ × gamma", c, [{ from: index, x, normalised, factor: five.gamma, at: [c], product }])];
    const rounding = difference(y, product + five.beta);
    const found = { ...five, deviation: x - five.mean, normalised, bias: five.beta, y, rounding, statistics };
    return explained(layer, index, parts, found);
  },

  /** In training dx has three parts, because x changes the mean and the variance of M numbers as well. */
  inputGradient(layer, arrays, index, { training = false, images = 1 } = {}) {
    const c = index.at(-1);
    const [five, value] = [numbers(layer, arrays, c), valueAt(arrays.dx, index)];
    const partOf = (title, dy, factor, from = {}) => part(title, c, [{ ...from, dy, factor, product: dy * factor }]);
    const scale = five.gamma / five.root;
    const direct = partOf("through x itself", valueAt(arrays.dy, index), scale, { from: index });
    if (!isByBatch(layer, training)) return explainedGradient(layer, "dx", index, [direct], value);
    const ofBatch = (name) => {
      if (images === 1) return sumOver(arrays, name, c, five).sum;
      const sum = valueAt(arrays[`d_${name}`], [c]);
      return sum === null ? NaN : sum - penaltySlope(layer, name, five[name]);
    };
    const [dbeta, dgamma] = [ofBatch("beta"), ofBatch("gamma")];
    if (images > 1 && Number.isNaN(dbeta + dgamma)) return unknown(layer, "dx", index, value, NOTE);
    const share = (-scale * arrays.x.shape.at(-1)) / (arrays.x.data.length * images);
    const xhat = (valueAt(arrays.x, index) - five.mean) / five.root;
    return explainedGradient(layer, "dx", index, [
      direct,
      partOf("through the mean: dbeta × −gamma / (root × M)", dbeta, share),
      partOf("through the variance: dgamma × −gamma × x̂ / (root × M)", dgamma, share * xhat),
    ], value);
  },

  weightGradient(layer, arrays, name, index, { images = 1 } = {}) {
    const sums = sumOver(arrays, name, index[0], numbers(layer, arrays, index[0]));
    return withPenalty(layer, arrays, name, index, [sums], images);
  },
};
