/**
 * Where a window lies. `window` is `{size: [KH, KW], strides, pads: [top, bottom, left, right], dilation}`; its tap
 * (p, q) at the position (i, j) meets the pixel (i * stride + p * dilation - top, j * stride + q * dilation - left).
 */

/** Return the number of positions of a window in each direction, [OH, OW]. */
export function outputSize({ size, strides, pads: [top, bottom, left, right], dilation }, [H, W]) {
  return [H + top + bottom, W + left + right].map((length, axis) =>
    Math.floor((length - dilation[axis] * (size[axis] - 1) - 1) / strides[axis]) + 1);
}

/** Return the numbers from 0 to below `length`, or the only one that is wanted, as [first, end]. */
export const span = (length, wanted) => (wanted === undefined ? [0, length] : [wanted, wanted + 1]);

/**
 * Call `visit(position, pixel, tap)` for each tap at each position, with their numbers in memory order: i * OW + j,
 * h * W + w (-1 for a pad) and p * KW + q. `wanted` may name a position [i, j] and a tap [p, q].
 */
export function forEachTap(window, [H, W], visit, { position = [], tap = [] } = {}) {
  const { size: [KH, KW], strides, pads: [top, , left], dilation } = window;
  const [OH, OW] = outputSize(window, [H, W]);
  const [[i0, i1], [j0, j1]] = [span(OH, position[0]), span(OW, position[1])];
  const [[p0, p1], [q0, q1]] = [span(KH, tap[0]), span(KW, tap[1])];
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      for (let p = p0; p < p1; p++) {
        for (let q = q0; q < q1; q++) {
          const h = i * strides[0] + p * dilation[0] - top;
          const w = j * strides[1] + q * dilation[1] - left;
          const inside = h >= 0 && h < H && w >= 0 && w < W;
          visit(i * OW + j, inside ? h * W + w : -1, p * KW + q);
        }
      }
    }
  }
}
