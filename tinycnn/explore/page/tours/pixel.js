// From pixels to one product, and to one number of a feature map.

import { explain } from "../arithmetic/index.js";
import { number, short, sized, times } from "../dom.js";
import { arraysAt, at, best, firstLayer, isConvolution, place, written } from "./finding.js";

/** Return the index beside this one in the same row of the result. */
const beside = (index, [, columns]) => [index[0], index[1] + 1 < columns ? index[1] + 1 : index[1] - 1, index[2]];

export const pixel = {
  async prepare(app) {
    const n = firstLayer(app, isConvolution);
    if (n < 0) return "This network has no convolution, so there is no window to follow. Another tour may fit it.";
    const layer = app.network.layers[n];
    const arrays = await arraysAt(app, n);
    const index = best(arrays.y, (value) => value);
    const found = explain(layer, arrays, index);
    return { n, layer, index, found, data: arrays.y.data, value: at(arrays.y, index), next: beside(index, layer.output_shape), bias: found.bias };
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      look: () => ['[data-map="after"]', '[data-map="before"]', '[data-map="image"]', ".panel .value"],
      text: ({ layer, index, found }) => [
        `${layer.name} is the first convolution of this network. It makes ${sized(layer.output_shape, "number")} from ${times(layer.input_shape)}.`,
        `One of its results, y${place(index)}, is framed in the map of the result. The frame in the map of the input shows the window that this number is made of: ${sized(layer.window.size, "number")}${found.parts.length > 1 ? ` in each of ${found.parts.length} channels` : ""}. Nothing outside the window changes it.`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "1" }),
      look: () => [".panel form.predict", ".panel .grids"],
      text: ({ layer, index, found }) => [
        `Each number in the window is multiplied by the weight at the same place of filter ${index[2]}'s kernel, and the products are added.${found.parts.length > 1 ? ` Each of the ${found.parts.length} channels has weights of its own; the sums of all channels are added.` : ""}`,
        `What is the result? Predict it before it is shown: type a number under "What do you expect" and press Enter. "Show the products" helps.${layer.activation?.name === "relu" ? " The activation is ReLU, so the result is not below 0." : ""}`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      look: () => [".panel .steps", ".panel .value", ".panel .grids"],
      text: ({ found, value, data, bias, layer }) => [
        `The products add up to ${short(found.sum)}.${bias === null ? "" : ` The bias of this filter, ${short(bias)}, is added.`} ${layer.activation && layer.activation.name !== "linear" ? `Then comes the activation, ${layer.activation.name}` : "That is all"}, and the result is ${number(value, data, true)}.`,
        "A product is large where both the pixel and the weight are. So the sum is large if the pixels of the window look like the kernel: bright where its weights are positive, dark where they are negative. A large number in the map says that the filter's pattern was found there.",
      ],
    },
    {
      set: ({ n, next }) => ({ view: "inside", way: "forward", layer: n, at: written(next), part: "", predict: "" }),
      look: () => ['[data-map="after"]', '[data-map="before"]', ".panel .value", ".panel .grids"],
      text: ({ layer, next }) => [
        `This is the number beside it, y${place(next)}. The window has moved by ${layer.window.strides[1]} ${layer.window.strides[1] === 1 ? "pixel" : "pixels"}. It holds other numbers now; the kernel is the same.`,
        "That is what makes it a convolution: the same few weights are used at every place, so a pattern is found wherever it is.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "matrix", layer: n, at: written(index), part: "", column: "", pixel: "", predict: "" }),
      look: () => ["#matrix .map", "#matrix tr.lit", "#matrix .product"],
      text: () => [
        "If each window is written as a row, all windows make a matrix, and the kernel is a column. So the convolution is one product of matrices, which computers do very fast.",
        "Point at a row, or move to it with the Tab key, and its window lights up in the map. Point at a pixel of the map, and every cell of the matrix that holds a copy of it lights up.",
      ],
    },
  ],
};
