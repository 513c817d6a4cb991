// The gradient of one weight: a sum over all places where the weight was used, checked by measuring.

import { explainWeightGradient } from "../arithmetic/index.js";
import { number, short } from "../dom.js";
import { gradientOptions } from "../selection.js";
import { arraysAt, at, best, firstLayer, isConvolution, place } from "./finding.js";

export const weight = {
  name: "weight",
  title: "The gradient of one weight",

  async prepare(app) {
    const convolution = firstLayer(app, isConvolution);
    const n = convolution >= 0 ? convolution : firstLayer(app, ({ kind }) => kind === "Dense");
    if (n < 0) return "This network has no convolution and no dense layer, so it has no kernel to look at.";
    const layer = app.network.layers[n];
    const arrays = await arraysAt(app, n);
    if (!arrays.d_kernel) return `The kernel of ${layer.name} has no gradient here: it is not trained.`;
    const index = best(arrays.d_kernel, Math.abs);
    const found = explainWeightGradient(layer, arrays, "kernel", index, gradientOptions(app, n));
    const terms = found.parts.flatMap((part) => part.terms);
    return {
      n, layer, index, found, value: at(arrays.w.kernel, index), gradient: at(arrays.d_kernel, index), data: arrays.w.kernel.data,
      count: terms.length, zeros: terms.filter(({ product }) => product === 0).length,
    };
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      text: ({ layer, index, value, data, count }) => [
        `This is about a single weight: kernel${place(index)} of ${layer.name}, which is ${number(value, data, true)}. It is used ${count} ${count === 1 ? "time" : "times"} for one image${count > 1 ? ", in each window once" : ""}.`,
        "How does the loss change if this weight changes a little? Every place where it was used has a say.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      text: ({ found, count, zeros }) => [
        `At each place the weight was multiplied by one number x of the input, and the loss has a slope dz by the sum there. So the place adds dz × x. See the list "${found.parts[0].title}" under "The gradient of a parameter".`,
        `${zeros} of the ${count} terms are 0, because the input was 0 there or the activation let nothing through. Together they are ${short(found.sum)}.`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      text: () => [
        "Can that be believed? Press the button \"Measure this slope\". It makes the weight a little larger and a little smaller, runs the network both times, and divides the difference of the two losses by the difference of the weights.",
        "That is what a slope is. It needs two runs for a single weight; backward finds the slopes of all weights in one walk.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      text: ({ value, gradient }) => [
        `A step of plain gradient descent goes against the slope: with the learning rate 0.01, the weight becomes ${short(value)} − 0.01 × ${gradient < 0 ? `(${short(gradient)})` : short(gradient, false)} = ${short(value - 0.01 * gradient)}.`,
        "All weights take such a step at once. That, many times over, is all that training is.",
      ],
    },
  ],
};
