/**
 * Conv2D and DepthwiseConv2D: y[i,j,f] = act(b[f] + sum_{p,q,c} xpad[i*s + p*d, j*s + q*d, c] * w[p,q,c,f]).
 *
 * With G groups, the filters of group g see only the channels of group g. A depthwise convolution has as many groups as
 * channels; its kernel (KH, KW, C, M) has the same memory as (KH, KW, 1, C * M).
 */
import { linear } from "./linear.js";
import { forEachTap, span } from "./window.js";

/** Return C channels, F filters, and how many of each a group has. */
export function sizes(layer) {
  const [C, F] = [layer.input_shape[2], layer.output_shape[2]];
  const groups = layer.kind === "DepthwiseConv2D" ? C : (layer.groups ?? 1);
  return { C, F, CG: C / groups, FG: F / groups };
}

export const convolution = linear({
  each(layer, { w }, visit, { x = [], y = [], kernel = [] } = {}) {
    const { C, F, CG, FG } = sizes(layer);
    const [c0, c1] = span(C, x[2]);
    const [first, last] = span(F, y[2]);
    forEachTap(layer.window, layer.input_shape, (position, pixel, tap) => {
      for (let c = c0; c < c1; c++) {
        const group = Math.floor(c / CG);
        const [f0, f1] = [Math.max(first, group * FG), Math.min(last, (group + 1) * FG)];
        const [xAt, row] = [pixel < 0 ? -1 : pixel * C + c, (tap * CG + (c % CG)) * F];
        for (let f = f0; f < f1; f++) visit(xAt, position * F + f, row + f, w.kernel.data[row + f], c);
      }
    }, { position: y, tap: kernel });
  },
});
