// A ReLU that gives 0, and why nothing is learned through it.

import { amount, number, short } from "../dom.js";
import { arraysAt, at, best, place, written } from "./finding.js";

/** Return a parameter that a channel alone uses, as the address names it: its bias, or a weight of its kernel; or "". */
function weightOf({ parameters }, channel) {
  if ("bias" in parameters) return `bias:${channel}`;
  if (!("kernel" in parameters)) return "";
  const { shape } = parameters.kernel;
  const last = shape.at(-1);
  // A depthwise kernel (KH, KW, C, M) makes channel c * M + m.
  return `kernel:${written(shape.map((_, axis) => (axis === shape.length - 1 ? channel % last : axis === 2 ? Math.floor(channel / last) : 0)))}`;
}

/** Return whether all numbers of a channel are 0. */
function isDead({ shape, data }, channel) {
  for (let k = channel; k < data.length; k += shape.at(-1)) if (data[k] !== 0) return false;
  return true;
}

export const relu = {
  async prepare(app) {
    let met = null;
    for (const [n, layer] of app.network.layers.entries()) {
      if (layer.activation?.name !== "relu") continue;
      const arrays = await arraysAt(app, n);
      if (!arrays.dy) continue;
      const z = arrays.z ?? arrays.x;
      const channels = z.shape.at(-1);
      const dead = Array.from({ length: channels }, (_, c) => isDead(arrays.y, c));
      // The number that would pass on the largest gradient if it were not below 0, in a dead channel if there is one.
      const score = (inDead) => (value, k) => (value < 0 && (!inDead || dead[k % channels]) ? Math.abs(arrays.dy.data[k]) : -1);
      const index = best(z, score(true), 0) ?? best(z, score(false), 0) ?? best(z, (value) => -value, 0);
      if (!index) continue;
      const found = {
        n, layer, index, channel: index.at(-1), before: at(z, index), dy: at(arrays.dy, index), data: z.data,
        dead: dead[index.at(-1)], count: dead.filter(Boolean).length, channels,
        weight: weightOf(layer, index.at(-1)), slope: arrays.d_bias ? arrays.d_bias.data[index.at(-1)] : null,
      };
      if (found.dead) return found;
      met ??= found;
    }
    return met ?? "No ReLU of this network gives 0 for this image. Try another image, or a network with ReLU.";
  },

  steps: [
    {
      set: ({ n, index }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", predict: "" }),
      look: () => [".panel .steps", ".panel .value"],
      text: ({ layer, index, before, data }) => [
        `${layer.name} ends in a ReLU: negative numbers become 0, all others stay. Before it, the number at ${place(index)} was ${number(before, data)}, so after it, it is 0.`,
        "At this place of the image, the filter has not found its pattern.",
      ],
    },
    {
      set: ({ n, index, weight }) => ({
        view: "inside", way: "backward", layer: n, part: "", predict: "", ...(weight ? { at: "", weight } : { at: written(index) }),
      }),
      look: ({ weight }) => (weight ? [".weights .value", ".weights .terms"] : [".panel .value", '[data-map="before"]', ".panel .terms"]),
      text: ({ index, dy, weight }) => [
        `Now backward. The gradient by this result is ${short(dy)}. The slope of ReLU is 0 for negative numbers, and ${short(dy)} × 0 = 0: however much the loss would gain from a change here, no gradient comes through the ReLU.`,
        weight ? `Look at the gradient of ${weight.replace(":", " ")}, under "The gradient of a parameter": it is a sum over all places, and those whose slope is 0, such as ${place(index)}, add nothing.`
          : "Look at dx at the same place.",
      ],
    },
    {
      set: ({ n, index, weight }) => ({ view: "inside", way: "forward", layer: n, at: written(index), part: "", weight, predict: "" }),
      look: () => ['[data-map="after"]', ".panel .value"],
      text: ({ dead, channel, count, channels, slope }) => [
        dead ? `Channel ${channel} is 0 at every place: for this image it is dead${slope === null ? "" : `, and the gradient of its bias is ${short(slope)}`}. ${count} of ${amount(channels, "channel")} ${count === 1 ? "is" : "are"}. This image teaches its weights nothing.`
          : `Channel ${channel} is not dead: other places of it are above 0, and through them its weights learn${slope === null ? "" : ` (the gradient of its bias is ${short(slope)})`}.`,
        "A channel that is 0 for every image gets no gradient from any, so it never comes back. A smaller learning rate, or a LeakyReLU, whose slope is not 0, prevents that.",
      ],
    },
  ],
};
