// From pixels to one product, and to one number of a feature map.

import { explain } from "../arithmetic/index.js";
import { number, short, times } from "../dom.js";
import { arraysAt, at, best, firstLayer, isConvolution, place, written } from "./finding.js";

/** Return the index beside this one in the same row of the result. */
const beside = (index, [, columns]) => [index[0], index[1] + 1 < columns ? index[1] + 1 : index[1] - 1, index[2]];

export const pixel = {
  name: "pixel",
  title: "From pixels to one number",

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
      text: ({ layer, index }) => [
        `${layer.name} is the first layer of this network that convolves. It makes ${times(layer.output_shape)} numbers from ${times(layer.input_shape)}.`,
        `One of its numbers is framed in the map of its result: y${place(index)}. The frame in the map of its input shows all the numbers that it is made of, ${times(layer.window.size)} in each channel. No other pixel matters to it.`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "1" }),
      text: ({ layer, index, found }) => [
        `Each of these numbers is multiplied by one weight of the kernel of filter ${index[2]}, and the products are added.${found.parts.length > 1 ? ` There is one such sum for each of ${found.parts.length} channels.` : ""}`,
        `What comes out? Say it before it is shown: type a number and press Enter. "Show the products" helps.${layer.activation?.name === "relu" ? " After ReLU, no number is below 0." : ""}`,
      ],
    },
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      text: ({ found, value, data, bias, layer }) => [
        `The products add up to ${short(found.sum)}.${bias === null ? "" : ` The bias of this filter, ${short(bias)}, is added.`} ${layer.activation && layer.activation.name !== "linear" ? `Then comes ${layer.activation.name}` : "That is all"}, and the result is ${number(value, data, true)}.`,
        "Large products come from places where the image and the kernel are large together, and of the same sign. A filter is a question to the image, and this number is the answer at one place.",
      ],
    },
    {
      set: ({ n, next }) => ({ view: "inside", way: "forward", layer: n, at: written(next), part: "", predict: "" }),
      text: ({ layer, next }) => [
        `This is the number beside it, y${place(next)}. The window has moved by ${layer.window.strides[1]} ${layer.window.strides[1] === 1 ? "pixel" : "pixels"}. The numbers under it are others, and the kernel is the same.`,
        "That is what makes a convolution: the same few weights are used at every place, so a line is found wherever it is.",
      ],
    },
    {
      set: ({ n, index }) => ({ view: "matrix", layer: n, at: written(index), part: "", column: "", pixel: "", predict: "" }),
      text: () => [
        "All windows together are the rows of a matrix, and the kernel is a column. So a convolution is one matrix product, which is how computers like it best.",
        "Move over a row, or focus it, and its window lights up in the map. Move over a pixel of the map, and you see how often it was copied.",
      ],
    },
  ],
};
