// Drawings in a recording: answers to the requests of draw.js that need no engine.

import { run } from "../arithmetic/index.js";
import { asProbabilities } from "../arithmetic/loss.js";

const DONE = "reduced by taking means, in this browser; the engine resizes with a Lanczos filter, and can put the drawing into the centre";

/** Return an image of bytes (H, W, C) with the mean of each block; there are whole blocks. */
export function reduced(pixels, [height, width, channels], [rows, columns]) {
  const [down, right] = [height / rows, width / columns];
  const sums = new Float64Array(rows * columns * channels);
  for (let k = 0; k < pixels.length; k += 1) {
    const pixel = Math.floor(k / channels);
    const [row, column] = [Math.floor(Math.floor(pixel / width) / down), Math.floor((pixel % width) / right)];
    sums[(row * columns + column) * channels + (k % channels)] += pixels[k];
  }
  return Uint8Array.from(sums, (sum) => Math.round(sum / (down * right)));
}

/** Return [H, W, C] of images to draw for, or why nobody can draw for this network here. */
function shapeOf({ network, images, refusals }) {
  const shape = network.input_shape.length === 2 ? [...network.input_shape, 1] : network.input_shape;
  if (refusals.values) return refusals.values;
  if (network.output_shape.length !== 1) return "This network does not give one number for each class.";
  if (shape.length !== 3 || ![1, 3].includes(shape[2])) return "To draw for a network, its input must be an image with 1 or 3 channels.";
  if (!(images.data instanceof Uint8Array)) return "This network takes images whose numbers are not those of pixels from 0 to 255.";
  return shape;
}

/** Return the answer to a request of draw.js, or null if it is for the engine. */
export function drawing(recording, { pathname, searchParams }, body) {
  const shape = shapeOf(recording);
  const isShape = Array.isArray(shape);
  const { classes } = recording.network;
  if (pathname === "/api/pictures") {
    const about = isShape ? { shape, centring: false, centred: false, why: "not in a recording: that needs the engine" } : null;
    return { json: async () => ({ drawing: about, reason: isShape ? null : shape, classes }) };
  }
  if (pathname !== "/api/pictures/drawing" || !isShape) return null;
  const given = ["height", "width", "channels"].map((name) => Number(searchParams.get(name)));
  const pixels = reduced(body, given, shape);
  const x = recording.fromBytes(pixels);
  const y = run(recording.network, recording.now.weights, x).at(-1).y.data;
  const isNumber = recording.network.gives_one_number;
  const found = isNumber ? y : asProbabilities(recording.network, y);
  const seen = { shape, data: pixels };
  return {
    description: {
      done: [DONE], empty: pixels.every((value) => value === pixels[0]),
      predicted: isNumber ? null : found.reduce((best, p, k) => (p > found[best] ? k : best), 0),
      image: searchParams.get("keep") === "1" ? recording.keep(x, "drawing") : null,
    },
    arrays: { before: seen, after: seen, [isNumber ? "number" : "probabilities"]: { shape: [found.length], data: found } },
  };
}
