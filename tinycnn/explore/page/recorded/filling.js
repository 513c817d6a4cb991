// Put back what tinycnn/explore/thinning.py has left out of a recording, because it follows from the rest to the bit.

import { activate } from "../arithmetic/activations.js";
import { backward, forward } from "../arithmetic/index.js";

/** Add the copies to arrays: `copies` has for each name that of an array with the same bytes, and its own shape. */
export function withCopies(arrays, copies) {
  for (const [name, [first, shape]] of Object.entries(copies)) arrays[name] = { shape, data: arrays[first].data };
}

/** Add to the arrays of a pass the results and gradients that are copies of other numbers in it. */
export function fill({ layers }, arrays) {
  for (const [n, layer] of layers.entries()) {
    const z = arrays[`${n}.z`];
    arrays[`${n}.y`] ??= z ? activate(layer.activation, z) : forward(layer, arrays[`${n - 1}.y`]).y;
  }
  for (let n = layers.length - 1; n > 0; n -= 1) {
    if (!arrays[`${n}.dy`] || arrays[`${n - 1}.dy`]) continue;
    const kept = { y: arrays[`${n}.y`], z: arrays[`${n}.y`], argmax: arrays[`${n}.argmax`] };
    arrays[`${n - 1}.dy`] = backward(layers[n], arrays[`${n - 1}.y`], {}, kept, arrays[`${n}.dy`]).dx;
  }
}

/** Return the rows of numbers of `as_planes` (a list with an array of `Kind` for each row). */
export function rowsOf({ shape: [size, rows, length], data }, Kind) {
  const bytes = new Uint8Array(size * rows * length);
  for (let row = 0; row < rows; row += 1) {
    for (let place = 0; place < length; place += 1) {
      for (let byte = 0; byte < size; byte += 1) {
        const to = (row * length + place) * size + byte;
        bytes[to] = data[(byte * rows + row) * length + place] ^ (row ? bytes[to - length * size] : 0);
      }
    }
  }
  return Array.from({ length: rows }, (_, row) => new Kind(bytes.buffer, row * length * size, length));
}
