/**
 * A whole network in prediction, forward and backward, as a recording needs it: without a server.
 *
 * `network` is the description of the data protocol; `weights` has for each layer its arrays by name.
 */
import { map, rounded } from "./arrays.js";
import { backward, forward } from "./layers.js";
import { explainLoss, finalActivation, joinedActivation, penaltySlope, slopesOfScore } from "./loss.js";

/** Return for each layer what it was given and what it gave: `{x, y, z, argmax}`. */
export function run({ layers }, weights, x) {
  const passes = [];
  for (const [n, layer] of layers.entries()) {
    const given = n ? passes[n - 1].y : x;
    passes.push({ x: given, ...forward(layer, given, weights[n] ?? {}) });
  }
  return passes;
}

/**
 * Return the gradients of one image: `{loss, layers: [{dy, dx, gradients}]}`, with `passes` what `run` returned.
 *
 * `target` is `{label}` or `{targets}` for the loss, or `{score: k}` for the k-th output, before a final softmax or sigmoid;
 * `loss` is null then. `dy` of an activation that was taken over is the gradient by the numbers before it. `loss`
 * lacks the penalties on weights; its gradients have them. If there is `handed[n]`, layer n gets that gradient and not the
 * computed one, so that each layer can be compared with the engine's alone.
 */
export function backpropagate(network, weights, passes, target, handed = []) {
  const isScore = target.score !== undefined;
  const joined = isScore ? finalActivation(network.layers) : joinedActivation(network.layers, network.loss);
  const last = passes.at(-1).y;
  const { loss, terms } = isScore
    ? { loss: null, terms: slopesOfScore(target.score, last.data.length).map((product) => ({ product })) }
    : explainLoss(network.loss, (joined < 0 ? last : passes[joined].z).data, target, joined >= 0);
  let dy = rounded(Float64Array.from(terms, (term) => term.product), last.shape, last);
  const found = [];
  for (const [n, layer] of [...network.layers.entries()].reverse()) {
    const { dx, gradients } = backward(layer, passes[n].x, weights[n] ?? {}, passes[n], handed[n] ?? dy, n === joined);
    if (!isScore) addPenalties(layer, weights[n], gradients);
    found.unshift({ dy, dx, gradients });
    dy = dx;
  }
  return { loss, layers: found };
}

/** Add to each gradient what the penalty on its parameter adds. */
function addPenalties(layer, w, gradients) {
  for (const [name, gradient] of Object.entries(gradients)) {
    if (penaltySlope(layer, name, 1) === null) throw new Error(`only Python can compute the penalty on ${name}`);
    gradients[name] = map(gradient, (d, where) => d + penaltySlope(layer, name, w[name].data[where]));
  }
}
