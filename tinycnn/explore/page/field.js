// Which pixels a value can depend on: in the layer before, and in the image (Dumoulin & Visin, "A guide to convolution
// arithmetic for deep learning", 2016; tinycnn/inspection/receptive_field.py has the same rules for all layers).

import { offset, indexAt } from "./safetensors.js";

const MOVES = new Set(["Flatten", "Reshape"]);

/** Return the rectangle [first row, first column, last row, last column] that a layer reads for one of its own. */
function readBy(layer, [top, left, bottom, right]) {
  const [H, W] = layer.input_shape;
  if (layer.window) {
    const { size, strides, pads, dilation } = layer.window;
    return [
      top * strides[0] - pads[0],
      left * strides[1] - pads[2],
      bottom * strides[0] - pads[0] + (size[0] - 1) * dilation[0],
      right * strides[1] - pads[2] + (size[1] - 1) * dilation[1],
    ];
  }
  if (layer.kind === "ZeroPadding2D") {
    const [[above], [beside]] = layer.settings.padding;
    return [top - above, left - beside, bottom - above, right - beside];
  }
  const samePlace = layer.input_shape.length === 3 && layer.output_shape.length === 3
    && layer.output_shape[0] === H && layer.output_shape[1] === W;
  return samePlace ? [top, left, bottom, right] : [0, 0, H - 1, W - 1];
}

/** Return the rectangle in a layer's input that the result at `index` can depend on; null where there are no images. */
export function seenInInput(layer, index) {
  if (layer.input_shape.length !== 3) return null;
  if (MOVES.has(layer.kind)) {
    const [row, column] = indexAt(layer.input_shape, offset(layer.output_shape, index));
    return [row, column, row, column];
  }
  const [row, column] = index.length === 3 ? index : [0, 0];
  return readBy(layer, [row, column, row, column]);
}

/** Return the rectangle of the network's input that a result of layer `number` can depend on. */
export function seenInImage(network, number, index) {
  const [H, W] = network.input_shape;
  let layer = network.layers[number];
  let seen = seenInInput(layer, index);
  // A row of numbers that came from images by moving them alone still knows the pixel that each came from.
  if (!seen) return [0, 0, H - 1, W - 1];
  for (let n = number - 1; n >= 0; n -= 1) {
    layer = network.layers[n];
    if (layer.input_shape.length !== 3) return [0, 0, H - 1, W - 1];
    const clipped = clip(seen, layer.output_shape);
    if (MOVES.has(layer.kind)) return [0, 0, H - 1, W - 1];
    seen = readBy(layer, clipped);
  }
  return clip(seen, network.input_shape);
}

/** Return a rectangle without what lies over the edge. */
export function clip([top, left, bottom, right], [H, W]) {
  return [Math.max(0, top), Math.max(0, left), Math.min(H - 1, bottom), Math.min(W - 1, right)];
}

/** Return a rectangle as MapView marks it: [row, column, height, width]. */
export const asMark = ([top, left, bottom, right]) => [top, left, bottom - top + 1, right - left + 1];
