// Why pooling keeps the largest number, and where its gradient goes.

import { explain } from "../arithmetic/index.js";
import { number, short } from "../dom.js";
import { arraysAt, at, best, firstLayer, place, written } from "./finding.js";

export const pooling = {
  name: "pooling",
  title: "What pooling keeps, and where its gradient goes",

  async prepare(app) {
    const n = firstLayer(app, ({ kind }) => kind.includes("MaxPooling"));
    if (n < 0) return "This network has no max-pooling. Open one such as ladder_03 to take this tour.";
    const layer = app.network.layers[n];
    const arrays = await arraysAt(app, n);
    if (!arrays.dx) return "There are no gradients at the pooling of this network, so one cannot see where they go.";
    // The place whose gradient is largest shows most; if all are 0, the largest number does.
    const index = best(arrays.dy, Math.abs, 0) ?? best(arrays.y, (value) => value);
    const found = explain(layer, arrays, index);
    const others = found.parts.flatMap(({ terms }) => terms).filter(({ from }) => from && written(from) !== written(found.winner));
    const loser = others.map(({ from }) => from).find((from) => at(arrays.dx, from) === 0) ?? null;
    const channel = index.at(-1);
    return {
      n, layer, index, found, loser, data: arrays.y.data, size: found.parts[0].terms.length, winner: found.winner, channel,
      value: at(arrays.y, index), dy: at(arrays.dy, index), dx: at(arrays.dx, found.winner),
    };
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      text: ({ layer, size, winner, value, data }) => [
        `${layer.name} looks at ${size} numbers of one channel and passes on the largest: ${number(value, data, true)}, which stands at ${place(winner)}.`,
        "The larger the number of a filter's map, the surer the filter is. The largest says whether it has found its pattern anywhere in this window. Where exactly is forgotten, so the network minds less if the image is moved by a pixel, and the maps get smaller.",
      ],
    },
    {
      set: ({ n, winner, channel }) => ({ view: "inside", way: "backward", layer: n, at: written(winner), part: channel, predict: "" }),
      text: ({ index, winner, dy, dx }) => [
        `Now backward. The gradient by the result y${place(index)} is ${short(dy)}. Only the winner at ${place(winner)} made this result, so all of it goes there: dx${place(winner)} = ${short(dx)}.`,
        dx === dy || Math.abs(dx - dy) < 1e-6 * Math.abs(dy) ? "Nothing is multiplied and nothing is added: the gradient is handed on as it is."
          : "It is more than this one gradient, because the number won in other windows as well.",
      ],
    },
    {
      set: ({ n, loser, winner, channel }) => ({ view: "inside", way: "backward", layer: n, at: written(loser ?? winner), part: channel, predict: "" }),
      text: ({ loser }) => [
        loser ? `The number at ${place(loser)} was in the same window and lost. Its gradient is 0.` : "In this window, no number has lost all that it could win.",
        "If a number that lost changes a little, the largest stays the same, so the result and the loss do not change. A gradient of 0 says just that.",
      ],
    },
  ],
};
