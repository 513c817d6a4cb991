/** Pooling: the largest value of each window, or the average of its pixels; a global one's window is the whole image. */
import { linear } from "./linear.js";
import { forEachTap, outputSize } from "./window.js";

/** Return the result's position [i, j] and channel; without `keepdims`, a global pooling's index is the channel alone. */
export const positionOf = (index) => (index.length === 1 ? [[0, 0], index[0]] : [index.slice(0, 2), index[2]]);

/** Call `visit(xAt, yAt, tap)` for each channel of each tap. */
function forEachValue(layer, visit, { y } = {}) {
  const C = layer.input_shape[2];
  forEachTap(layer.window, layer.input_shape, (position, pixel, tap) => {
    for (let c = 0; c < C; c++) visit(pixel < 0 ? -1 : pixel * C + c, position * C + c, tap);
  }, { position: y && positionOf(y)[0] });
}

/**
 * Return which tap wins each window, as `p * KW + q`. Of equal values the first wins; a NaN wins over all numbers, so
 * that it is seen; pads never win.
 */
function winners(layer, x) {
  const shape = [...outputSize(layer.window, layer.input_shape), layer.input_shape[2]];
  const data = new Int32Array(shape[0] * shape[1] * shape[2]).fill(-1);
  const best = new Float64Array(data.length);
  forEachValue(layer, (xAt, yAt, tap) => {
    const value = x.data[xAt];
    const wins = data[yAt] < 0 || value > best[yAt] || (Number.isNaN(value) && !Number.isNaN(best[yAt]));
    if (xAt >= 0 && wins) [best[yAt], data[yAt]] = [value, tap];
  });
  return { shape, data };
}

const byWinners = linear({
  keep: (layer, x) => ({ argmax: winners(layer, x) }),

  each(layer, { x, argmax }, visit, wanted) {
    const won = argmax ?? winners(layer, x);
    forEachValue(layer, (xAt, yAt, tap) => visit(xAt, yAt, tap, won.data[yAt] === tap ? 1 : null), wanted);
  },
});

export const maximum = {
  ...byWinners,

  /**
   * Explain by the rule, whichever winners the engine has kept: `first` is the tap that the rule names, and `winner` is
   * where its number comes from; `tap` is the one that was kept, if one was, and `taken` where that number comes from,
   * which is null for a pad and undefined if the window has no such tap.
   */
  explain(layer, arrays, index) {
    const [[i, j], c] = positionOf(index);
    const rule = winners(layer, arrays.x);
    const yAt = (i * rule.shape[1] + j) * rule.shape[2] + c;
    const found = byWinners.explain(layer, { ...arrays, argmax: rule }, index);
    const { terms } = found.parts[0];
    const [first, tap] = [rule.data[yAt], Number((arrays.argmax ?? rule).data[yAt])];
    const ties = terms.filter((term) => term.from && term.x === terms[first].x).length;
    return { ...found, tap, first, winner: terms[first].from, taken: terms[tap]?.from, ties };
  },
};

/** Return how many pixels the window of each position meets; pads do not count. */
function counts(layer) {
  const [OH, OW] = outputSize(layer.window, layer.input_shape);
  const found = new Float64Array(OH * OW);
  forEachTap(layer.window, layer.input_shape, (at, pixel) => { found[at] += pixel < 0 ? 0 : 1; });
  return found;
}

export const average = linear({
  each(layer, arrays, visit, wanted) {
    const [C, count] = [layer.input_shape[2], counts(layer)];
    forEachValue(layer, (xAt, yAt, tap) => visit(xAt, yAt, tap, xAt < 0 ? null : 1 / count[Math.floor(yAt / C)]), wanted);
  },

  more: (layer, arrays, index, terms) => ({ count: terms.filter((term) => term.from).length }),
});
