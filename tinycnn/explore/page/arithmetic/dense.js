/** Dense: y[…,o] = act(b[o] + sum_i x[…,i] * w[i,o]) over the last axis; each pixel is a row of its own. */
import { place, size } from "./arrays.js";
import { linear } from "./linear.js";
import { span } from "./window.js";

export const dense = linear({
  each(layer, { w }, visit, { x, y, kernel = [] } = {}) {
    const rows = layer.input_shape.slice(0, -1);
    const [I, O] = [layer.input_shape.at(-1), layer.output_shape.at(-1)];
    const known = x ?? y;
    const [n0, n1] = span(size(rows), known && place(rows, known.slice(0, -1)));
    const [[i0, i1], [o0, o1]] = [span(I, x?.at(-1) ?? kernel[0]), span(O, y?.at(-1) ?? kernel[1])];
    for (let n = n0; n < n1; n++) {
      for (let i = i0; i < i1; i++) {
        for (let o = o0; o < o1; o++) visit(n * I + i, n * O + o, i * O + o, w.kernel.data[i * O + o]);
      }
    }
  },
});
