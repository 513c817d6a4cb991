// What is selected, for every view: the arrays of a layer, and the number in one of them.

import { joinedActivation } from "./arithmetic/index.js";
import { indexAt, offset } from "./safetensors.js";

/** Return the number of the chosen layer. */
export function layerNumber(app) {
  return Math.max(0, Math.min(app.network.layers.length - 1, Number(app.state.get("layer")) || 0));
}

/** Return the arrays of a layer in a pass as arithmetic/ takes them; `held` is what app.layerArrays has returned. */
export function layerPass(pass, n, held) {
  const { arrays } = pass;
  const of = (name) => arrays[`${n}.${name}`];
  const gradients = Object.fromEntries(Object.entries(held).filter(([name]) => name.startsWith("d_")));
  return {
    x: n ? arrays[`${n - 1}.y`] : arrays.x, y: of("y"), z: of("z"), mask: of("mask"), argmax: of("argmax"),
    mean: of("mean"), variance: of("variance"),
    dy: of("dy"), dx: of("dx") ?? arrays[`${n - 1}.dy`] ?? null,
    w: held, ...gradients,
  };
}

/** Return what arithmetic/ has to know of a pass to explain the gradients of layer `n`. */
export function gradientOptions(app, n) {
  const { mode, batch } = app.pass.description;
  return { training: mode === "training", images: batch, joined: joinedActivation(app.network.layers, app.network.loss) === n };
}

/** Return the index that a text such as "3,4,1" names in a shape, or null if it names none. */
export function indexOf(text, shape) {
  const given = text.split(",").map(Number);
  const fits = text !== "" && given.length === shape.length
    && given.every((at, axis) => Number.isInteger(at) && at >= 0 && at < shape[axis]);
  return fits ? given : null;
}

/** Return the index of the largest number of an array. */
export function largestIn({ shape, data }) {
  let best = 0;
  for (let n = 1; n < data.length; n += 1) if (data[n] > data[best]) best = n;
  return indexAt(shape, best);
}

/** Return the index of the chosen number of an array; by default the largest one's. */
export const chosenIn = (state, array) => indexOf(state.get("at"), array.shape) ?? largestIn(array);

/** Return a typed whole number, kept between 0 and below `length`. */
export const within = (text, length) => Math.max(0, Math.min(length - 1, Math.trunc(Number(text) || 0)));

/**
 * Return what the function of a case calls a number, as the terminal has it, such as "dx[0,1,2,0]"; null if it is no
 * number of its result. `part` is "y", "dx" or the parameter of layer `n` that an array of this shape belongs to; `image`,
 * such as "test-1", is the image of which it is.
 */
export function ownName({ network }, { n, part, shape, index, image }) {
  const { result } = network.case ?? {};
  const [from, place] = image.split("-");
  if (n !== 0 || result?.part !== part || from === "own") return null;
  const size = shape.reduce((product, length) => product * length, 1);
  const before = part === "y" || part === "dx" ? Number(place) * size : 0;
  return `${result.name}[${indexAt(result.shape, before + offset(shape, index)).join(",")}]`;
}
