/**
 * A convolution as one matrix product, as im2col makes it: a row for each window, a column for each tap of a filter.
 *
 * The order is the engine's (`kernels/reference/conv.py`): windows from left to right and from top to bottom, and in a
 * row the taps p, q with the channels c running fastest. The filters of a group see only the channels of their group.
 */
import { sizes } from "./convolution.js";
import { outputSize } from "./window.js";

/**
 * Return what is asked of the matrix of filter `f`: `rows` and `columns`, how many there are; `positionOf(row)` is the
 * window [i, j], `tapOf(column)` is [p, q, c] with c counted in the input; `sourceOf(row, column)` is the input's
 * [h, w, c], or null for a pad; `rowsWith(h, w)` lists {row, columns} for each window that holds the pixel.
 */
export function matrixOf(layer, f) {
  const { size: [KH, KW], strides, pads: [top, , left], dilation } = layer.window;
  const [OH, OW] = outputSize(layer.window, layer.input_shape);
  const [H, W] = layer.input_shape;
  const { CG, FG } = sizes(layer);
  const first = Math.floor(f / FG) * CG;
  const positionOf = (row) => [Math.floor(row / OW), row % OW];
  const tapOf = (column) => [Math.floor(column / CG / KW), Math.floor(column / CG) % KW, first + (column % CG)];
  return {
    rows: OH * OW, columns: KH * KW * CG, channels: [first, first + CG], positionOf, tapOf,
    rowOf: ([i, j]) => i * OW + j,

    sourceOf(row, column) {
      const [[i, j], [p, q, c]] = [positionOf(row), tapOf(column)];
      const [h, w] = [i * strides[0] + p * dilation[0] - top, j * strides[1] + q * dilation[1] - left];
      return h >= 0 && h < H && w >= 0 && w < W ? [h, w, c] : null;
    },

    rowsWith(h, w) {
      const found = [];
      for (let p = KH - 1; p >= 0; p--) {
        for (let q = KW - 1; q >= 0; q--) {
          const [i, j] = [(h + top - p * dilation[0]) / strides[0], (w + left - q * dilation[1]) / strides[1]];
          if (!Number.isInteger(i) || !Number.isInteger(j) || i < 0 || i >= OH || j < 0 || j >= OW) continue;
          const columns = Array.from({ length: CG }, (_, c) => (p * KW + q) * CG + c);
          found.push({ row: i * OW + j, columns });
        }
      }
      return found;
    },

    /** Return the weight of a column; the kernel's memory is (KH, KW, C of a group, F) for every kind of convolution. */
    weightOf: (kernel, column) => kernel.data[column * layer.output_shape[2] + f],
  };
}
