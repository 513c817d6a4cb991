/** Layers whose every result comes from one number: other shapes, frames of zeros, other scales, and noise. */
import { constant, valueAt } from "./arrays.js";
import { linear } from "./linear.js";

/** Return a family in which the numbers keep their places in memory, with the factor of each. */
const inPlace = (factorOf, others = {}) => linear({
  ...others,
  each(layer, arrays, visit) {
    for (let k = 0; k < arrays.x.data.length; k++) visit(k, k, -1, factorOf(layer, arrays, k));
  },
});

/** Flatten and Reshape; and the layers that are an activation by itself, which follows after this. */
export const unchanged = inPlace(() => 1);

export const zeroPadding = linear({
  each(layer, arrays, visit) {
    const [[H, W, C], [rows, columns]] = [layer.input_shape, layer.output_shape];
    const [[top], [left]] = layer.settings.padding;
    for (let k = 0; k < rows * columns * C; k++) {
      const pixel = Math.floor(k / C);
      const [h, w] = [Math.floor(pixel / columns) - top, (pixel % columns) - left];
      const inside = h >= 0 && h < H && w >= 0 && w < W;
      visit(inside ? (h * W + w) * C + (k % C) : -1, k, -1, inside ? 1 : null);
    }
  },
});

export const rescaling = inPlace((layer, { x }) => constant(layer.settings.scale, x), {
  offset: (layer, { x }) => constant(layer.settings.offset ?? 0, x),
});

/** With rate 1 nothing is kept, so that nothing is scaled. */
const scaleOf = ({ settings: { rate } }, x) => (rate < 1 ? constant(1 / (1 - rate), x) : 0);

/** In prediction, where there is no mask, nothing is changed. */
export const dropout = inPlace((layer, { x, mask }, k) => (mask ? (mask.data[k] ? scaleOf(layer, x) : null) : 1), {
  more: (layer, { x, mask }, index) =>
    ({ kept: mask ? valueAt(mask, index) !== 0 : null, rate: layer.settings.rate, scale: scaleOf(layer, x) }),
});

/** The noise is known only as the difference of the two arrays; in prediction there is none. */
export const gaussianNoise = inPlace(() => 1, {
  offset: (layer, { x, y }, k) => (y ? y.data[k] - x.data[k] : null),
  more: (layer, { x, y }, index) => ({ noise: valueAt(y, index) - valueAt(x, index), stddev: layer.settings.stddev }),
});
