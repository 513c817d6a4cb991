// Why pooling keeps the largest number, and where its gradient goes.

import { explain } from "../arithmetic/index.js";
import { number, plural, short } from "../dom.js";
import { indexAt } from "../safetensors.js";
import { arraysAt, at, counted, firstLayer, place, written } from "./finding.js";

/** How many windows are looked at for one in which no two numbers are the largest. */
const MOST_WINDOWS = 500;

/** Return the window whose gradient is largest, because that shows most, but rather one without a tie. */
function windowIn(layer, arrays) {
  const { dy, y } = arrays;
  const places = [...dy.data.keys()].sort((a, b) => Math.abs(dy.data[b]) - Math.abs(dy.data[a]) || y.data[b] - y.data[a]);
  let first = null;
  for (const k of places.slice(0, MOST_WINDOWS)) {
    const index = indexAt(y.shape, k);
    const found = explain(layer, arrays, index);
    if (found.ties === 1) return { index, found };
    first ??= { index, found };
  }
  return first;
}

export const pooling = {
  async prepare(app) {
    const n = firstLayer(app, ({ kind }) => kind.includes("MaxPooling"));
    if (n < 0) return "This network has no max-pooling. Open one such as ladder_03 to take this tour.";
    const layer = app.network.layers[n];
    const arrays = await arraysAt(app, n);
    if (!arrays.dx) return "There are no gradients at the pooling of this network, so one cannot see where they go.";
    const { index, found } = windowIn(layer, arrays);
    const others = found.parts.flatMap(({ terms }) => terms).filter(({ from }) => from && written(from) !== written(found.winner));
    const loser = others.map(({ from }) => from).find((from) => at(arrays.dx, from) === 0) ?? null;
    const channel = index.at(-1);
    return {
      n, layer, index, loser, ties: found.ties, data: arrays.y.data, size: found.sources.length, winner: found.winner, channel,
      value: at(arrays.y, index), dy: at(arrays.dy, index), dx: at(arrays.dx, found.winner),
    };
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      look: () => [".panel .value", ".panel .grids", ".panel .steps", '[data-map="after"]', '[data-map="before"]'],
      text: ({ layer, index, size, winner, value, data, ties }) => [
        `Each result of ${layer.name} is the largest of the numbers in one window of one channel. This one, y${place(index)}, was chosen from ${counted(size)} ${plural(size, "number")}: the largest is ${number(value, data, true)}, at ${place(winner)} of the layer's input.`
          + (ties > 1 ? ` ${ties} numbers of the window are equally large here; the first of them counts as the winner.` : ""),
        "The larger a number in a filter's map is, the better the pixels there match the filter. The largest says whether the pattern was found anywhere in the window; where exactly is forgotten. So the maps get smaller, and the network minds less if the image is moved by a pixel.",
      ],
    },
    {
      set: ({ n, winner, channel }) => ({ view: "inside", way: "backward", layer: n, at: written(winner), part: channel, predict: "" }),
      look: () => [".panel .value", '[data-map="before"]', '[data-map="after"]', ".panel .terms"],
      text: ({ index, winner, dy, dx }) => [
        `Now backward. The gradient dy${place(index)} says how the loss changes with this result: ${short(dy)}. Only the winner at ${place(winner)} has made the result, so all of the gradient goes there: dx${place(winner)} = ${short(dx)}.`,
        dx === dy || Math.abs(dx - dy) < 1e-6 * Math.abs(dy) ? "Nothing is multiplied and nothing is added: the gradient is handed on as it is."
          : "It is not the same number, because the windows overlap: this one has won in others as well, and their gradients are added.",
      ],
    },
    {
      set: ({ n, loser, winner, channel }) => ({ view: "inside", way: "backward", layer: n, at: written(loser ?? winner), part: channel, predict: "" }),
      look: () => [".panel .value", '[data-map="before"]', ".panel .terms"],
      text: ({ loser }) => [
        loser ? `The number at ${place(loser)} was in the same window and lost. Its gradient is 0.` : "Every other number of this window has won in some other window, so each has a gradient from there.",
        "If a number that has lost changes a little, the largest is still the same one. So the result does not change, and neither does the loss: a gradient of 0 says just that.",
      ],
    },
  ],
};
