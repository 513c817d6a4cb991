/** Arrays as the page holds them: `{shape, data}` in C order (the last index runs fastest), without a batch axis. */

/** Return how many numbers an array of this shape holds. */
export const size = (shape) => shape.reduce((product, length) => product * length, 1);

/** Return the place of an index in the data. */
export function place(shape, index) {
  const fits = Array.isArray(index) && index.length === shape.length
    && index.every((n, axis) => Number.isInteger(n) && n >= 0 && n < shape[axis]);
  if (!fits) {
    throw new RangeError(`index must lie in an array of shape [${shape}], counted from 0; got ${JSON.stringify(index)}`);
  }
  return index.reduce((sum, n, axis) => sum * shape[axis] + n, 0);
}

/** Return the index that has this place in the data. */
export function indexAt(shape, where) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = where % shape[axis];
    where = Math.floor(where / shape[axis]);
  }
  return index;
}

/** Return the number at an index, or null if there is no array. */
export const valueAt = (array, index) => (array ? Number(array.data[place(array.shape, index)]) : null);

/** Return doubles rounded to the dtype of `like`; for an array of integers that is float32. */
export function rounded(numbers, shape, like) {
  const Kind = like.data instanceof Float64Array ? Float64Array : Float32Array;
  return { shape: [...shape], data: numbers instanceof Kind ? numbers : Kind.from(numbers) };
}

/** Return an array with a function applied to each number and its place. */
export const map = (array, change) =>
  rounded(Float64Array.from(array.data, (value, where) => change(value, where)), array.shape, array);

/** Return a layer's constant as the engine uses it: rounded to the dtype of the arrays. */
export const constant = (value, like) => (like.data instanceof Float64Array ? value : Math.fround(value));
