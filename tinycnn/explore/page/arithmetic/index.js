/**
 * The arithmetic of a CNN, number by number: what the page of `tinycnn explore` shows comes from here.
 *
 * Begin reading with `convolution.js`. Layers, weights and arrays are as in the data protocol,
 * `tinycnn/explore/protocol.py`; an array is `{shape, data}` without a batch axis.
 */
export { codeFor, quoted } from "./code.js";
export { backward, explain, explainInputGradient, explainWeightGradient, explainWeightGradientOfAll, forward } from "./layers.js";
export { matrixOf } from "./matrix.js";
export { explainLoss, finalActivation, joinedActivation } from "./loss.js";
export { backpropagate, run } from "./network.js";
