/**
 * What explanations are made of. A *part* is a sum of terms, `{title, channel, terms, sum}`; a term has at least
 * `from` (where its number comes from, or null for a pad) and `product`.
 *
 * Sums are in doubles, from the first term to the last and then from the first part to the last. The engine adds in
 * float32, and in another order; so the two may differ in the last bits, which is what `rounding` says.
 */

/** Return the sum of numbers, from the first to the last. */
export const sumOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

/** Return a part of an explanation. */
export const part = (title, channel, terms) => ({ title, channel, terms, sum: sumOf(terms.map((term) => term.product)) });

/** Return the engine's number minus the one as shown; 0 if both are NaN, or the same infinity. */
export const difference = (engine, shown) =>
  (engine === shown || (Number.isNaN(engine) && Number.isNaN(shown)) ? 0 : engine - shown);

/** Return where the numbers of all parts come from, without pads, and the sum of the parts. */
const joined = (parts) => ({
  sources: parts.flatMap((one) => one.terms).filter((term) => term.from).map((term) => term.from),
  parts,
  sum: sumOf(parts.map((one) => one.sum)),
});

/** Return the explanation of a result; `found` adds to its fields, or replaces them. */
export const explained = (layer, index, parts, found) =>
  ({ kind: layer.kind, index, ...joined(parts), bias: null, z: null, activation: null, ...found });

/** Return the explanation of one number `value` of a gradient; `value` is null where the engine has not computed it. */
export function explainedGradient(layer, of, index, parts, value) {
  const found = joined(parts);
  return { kind: layer.kind, of, index, ...found, value, rounding: value === null ? null : difference(value, found.sum) };
}

/** Return the explanation of a gradient whose terms are not known here, with the reason. */
export const unknown = (layer, of, index, value, note) =>
  ({ ...explainedGradient(layer, of, index, [], value), sum: null, rounding: null, note });
