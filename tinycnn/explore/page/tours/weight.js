// The gradient of one weight: a sum over all places where the weight was used, checked by measuring.

import { explainWeightGradient } from "../arithmetic/index.js";
import { number, plural, short, times } from "../dom.js";
import { gradientOptions } from "../selection.js";
import { arraysAt, at, best, counted, firstLayer, isConvolution, place } from "./finding.js";

/** Return in how many windows a weight is used. */
function usedIn({ kind, output_shape: shape }, count, windows) {
  if (kind === "Dense") return "It is used once for an image.";
  if (windows === 1) return `It is used in the only window${count ? "" : ", where it stands over the pad and adds nothing"}.`;
  const all = `the ${counted(windows)} windows (${times(shape.slice(0, 2))})`;
  if (count === windows) return `It is used once in each of ${all}.`;
  const others = windows - count;
  return `It is used in ${counted(count)} of ${all}. In the other ${counted(others)} it stands over the pad around the image, which is 0 and adds nothing.`;
}

/** Return a step of gradient descent as a formula, with so many digits that two of the step can be seen. */
function stepped(value, gradient) {
  const step = 0.01 * gradient;
  const digits = step === 0 ? 4 : Math.max(4, Math.min(12, 1 - Math.floor(Math.log10(Math.abs(step)))));
  const sign = (number, text) => (number < 0 ? `−${text}` : text);
  const written = (number, places) => sign(number, Math.abs(number).toFixed(places));
  const slope = written(gradient, Math.max(0, digits - 2));
  return `${written(value, digits)} − 0.01 × ${gradient < 0 ? `(${slope})` : slope} = ${written(value - step, digits)}`;
}

export const weight = {
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
      isRecording: app.source.isRecording,
      n, layer, index, found, value: at(arrays.w.kernel, index), gradient: at(arrays.d_kernel, index), data: arrays.w.kernel.data,
      count: terms.length, windows: layer.output_shape.slice(0, -1).reduce((all, length) => all * length, 1), zeros: terms.filter(({ product }) => product === 0).length,
    };
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      look: () => [".weights .value", ".weights h3"],
      text: ({ layer, index, value, data, count, windows }) => [
        `This is about a single weight: kernel${place(index)} of ${layer.name}, which is ${number(value, data, true)}. ${usedIn(layer, count, windows)}`,
        "How does the loss change if this weight changes a little? Every place where it is used has a say.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      look: () => [".weights .terms", ".weights .value"],
      text: ({ found, count, zeros }) => [
        `At each place, the weight is multiplied by one number x of the input. The gradient dz says how the loss changes with the sum there, before the activation. So each place adds dz × x: see the list "${found.parts[0].title}" under "The gradient of a parameter".`,
        `${zeros ? `${counted(zeros)} of the ${counted(count)} ${plural(count, "term")} ${zeros === 1 ? "is" : "are"} 0: there, the input was 0 or no gradient came through the activation. ` : ""}${count > 1 ? `The ${counted(count)} terms together` : "The only term"} make${count > 1 ? "" : "s"} the gradient of the weight, ${short(found.sum)}.`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      look: ({ isRecording }) => (isRecording ? [".weights .measure", ".weights .terms"] : [".weights .slope table", ".weights .slope p", ".weights .terms"]),
      text: ({ isRecording }) => [
        `Can that be believed? ${isRecording ? 'Press the button "Measure this slope". It' : 'Below the terms stands the same derivative, measured. The engine'} makes the weight a little larger and a little smaller, runs the network both times, and divides the difference of the two losses by the difference of the weights.`,
        "That is what a slope is. Measuring takes two runs for each weight; backward finds the slopes of all weights in one walk.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "backward", layer: n, at: "", part: "", weight: `kernel:${index.join(",")}`, predict: "" }),
      look: () => [".weights .value", ".weights .terms"],
      text: ({ value, gradient }) => [
        `A step of plain gradient descent goes against the slope. With the learning rate 0.01, the weight becomes ${stepped(value, gradient)}.`,
        "All weights take such a step at once. That, many times over, is all that training is.",
      ],
    },
  ],
};
