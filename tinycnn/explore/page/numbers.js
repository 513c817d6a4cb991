// Show how one number came about: what arithmetic/index.js has found out, as tables of numbers and sentences.

import { difference } from "./arithmetic/explanation.js";
import { explainLoss } from "./arithmetic/loss.js";
import { choice, keepFocus, make, number, short, table } from "./dom.js";

/** How many terms are shown at once where there may be thousands. */
const MOST = 12;
/** With more columns than this, numbers are rounded so that all columns can be seen. */
const MOST_EXACT = 4;

/** Return a cell for a number; its sign has a colour and a sign, and the exact number is its title. */
function cell(value, data, chosen) {
  const sign = value < 0 ? "minus" : value > 0 ? "plus" : "";
  return make("td", { class: `${sign}${chosen ? " chosen" : ""}`, title: number(value, data) }, short(value));
}

/** Return terms as a grid, by their places in the window. */
function grid(caption, terms, pick, data) {
  const rows = [];
  for (const term of terms) {
    const [p, q] = term.at;
    rows[p] ??= [];
    rows[p][q] = pick(term) === null ? make("td", { class: "pad" }, "pad") : cell(pick(term), data, term.won);
  }
  return make("table", {}, make("caption", {}, caption), make("tbody", {}, rows.map((cells) => make("tr", {}, cells))));
}

const isMaximum = (layer) => layer.kind.includes("MaxPooling");
const isWindow = (part) => part.terms.length <= 81 && part.terms.every((term) => term.at?.length >= 2 && term.from !== undefined && "x" in term && !("dz" in term));

/** Return the window: what lies under it and, for a convolution, the kernel and, if wanted, the products. */
function windowOf(part, layer, data, withProducts) {
  const terms = isMaximum(layer) && withProducts ? part.terms.map((term) => ({ ...term, won: term.factor === 1 })) : part.terms;
  const channel = part.channel ?? terms.find((term) => term.from)?.from[2] ?? 0;
  const under = grid(`input, channel ${channel}`, terms, (term) => (term.from ? term.x : null), data);
  if (layer.kind.includes("Pooling")) return make("div", { class: "grids" }, under);
  return make("div", { class: "grids" },
    under, make("span", { class: "sign" }, "×"),
    grid("kernel", terms, (term) => term.factor, data),
    ...(withProducts ? [make("span", { class: "sign" }, "="), grid("products", terms, (term) => term.product, null)] : []));
}

/** The columns of a list of terms, in this order, as far as the terms have them. */
const COLUMNS = [
  ["called", "term", (value) => value],
  ["from", "from", (value) => (value ? `(${value.join(", ")})` : "pad")],
  ["input", "input at", (value) => `(${value.join(", ")})`],
  ["dy", "dy"], ["slope", "slope"], ["dz", "dz"], ["x", "x"], ["normalised", "x̂"], ["shifted", "x − largest"], ["factor", "factor"],
  ["exponential", "exp(x − largest)"], ["product", "product"],
];

/** Return a list of terms, the largest first, and a button that shows more of them. */
function listOf(part, data, withProducts, say) {
  const sorted = [...part.terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  // An exponential is a term by itself, and no product.
  const leftOut = "exponential" in sorted[0] || !withProducts ? "product" : null;
  const columns = COLUMNS.filter(([key]) => key in sorted[0] && key !== leftOut);
  // With all their digits, the numbers of a gradient's term are wider than the page; the title of each has all of them.
  const isWide = columns.length > MOST_EXACT || "called" in sorted[0];
  const written = (value, key) => {
    const array = key === "product" ? null : data;
    // Whatever can have either sign has one, as in the windows; an exponential cannot.
    const signed = key !== "exponential";
    if (!isWide) return number(value, array, signed);
    return make("span", { title: number(value, array) }, short(value, signed));
  };
  // In a gradient, dz is multiplied; where the sums are named by filters, this has to be said as well.
  const multiplied = "dz" in sorted[0] ? "dz" : part.multiplied;
  const isOf = multiplied && !part.title.includes("×") ? `, ${multiplied} × factor` : "";
  const box = make("div", { class: "terms" });
  const show = (count) => {
    const rows = sorted.slice(0, count).map((term) => columns.map(([key, , write]) =>
      (write ? write(term[key]) : written(term[key], key))));
    const left = sorted.length - rows.length;
    const rest = sorted.slice(count).reduce((sum, term) => sum + term.product, 0);
    keepFocus(box, () => box.replaceChildren(
      table(`${part.title}${isOf}: ${sorted.length} ${sorted.length === 1 ? "term" : "terms, the largest first"}`, columns.map(([, title]) => title), rows),
      left > 0 ? make("p", {}, withProducts ? `and ${left} more, together ${short(rest)} ` : `and ${left} more `,
        make("button", { type: "button", click: () => more(count + 200) }, "Show more")) : ""));
  };
  const more = (count) => {
    show(count);
    say(`${Math.min(count, sorted.length)} of ${sorted.length} terms are shown.`);
  };
  show(MOST);
  return box;
}

/** Return what is particular to a kind of layer, as sentences. */
function particular(found, layer, data) {
  const of = (value) => number(value, data);
  if (layer.kind === "BatchNormalization" && found.root !== undefined) {
    return [
      `mean ${of(found.mean)}, variance ${of(found.variance)}, gamma ${of(found.gamma)}, beta ${of(found.beta)}, epsilon ${of(found.epsilon)}`,
      `x − mean = ${short(found.deviation, false)}; divided by √(variance + epsilon) = ${short(found.root, false)} that is x̂ = ${short(found.normalised, false)}`,
    ];
  }
  if (isMaximum(layer) && found.winner) {
    const tie = found.ties > 1 ? `; ${found.ties} numbers of the window are equal, and the first of them wins` : "";
    return [`The largest number of the window stands at (${found.winner.join(", ")})${tie}. In the backward pass it gets the whole gradient`];
  }
  if (found.count !== undefined) return [`The average of ${found.count === 1 ? "1 pixel, which counts fully" : `${found.count} pixels: each counts 1/${found.count}`}. Pads do not count`];
  if (layer.kind === "Dropout" && found.kept !== undefined) {
    if (found.kept === null) return ["In prediction, dropout changes nothing"];
    return [found.kept ? `This number was kept, and multiplied by 1 / (1 − ${found.rate}) = ${short(found.scale, false)}` : "This number was dropped: it counts as 0 in this step"];
  }
  if (layer.kind === "GaussianNoise" && found.noise !== undefined) return [found.noise ? `The noise that was added: ${of(found.noise)}` : "In prediction, no noise is added"];
  return [];
}

/** Return what happens after the products: the sums, the bias, the activation; and a mark behind each that is wrong. `open` is
 * the sum whose terms are shown. */
function steps(found, open, { layer, data, who, channels }) {
  const items = [...particular(found, layer, data), ...marksOfParticulars(found, data, who)];
  const parts = found.parts ?? [];
  const count = parts.flatMap((one) => one.terms).length;
  if (found.images) {
    const [image] = open.title.split(",");
    items.push(`${image[0].toUpperCase()}${image.slice(1)} is one of ${found.images} images; its terms add up to ${number(open.sum)}`,
      `The terms of the ${found.images} images together add up to ${number(found.sum)}`);
  } else if (parts.some((one) => one.terms.length > 1) && parts.length > 1) items.push(`The ${parts.length} sums together: ${number(found.sum)}`);
  else if (count > 1 && !isMaximum(layer)) items.push(`The sum of the ${count} terms: ${number(found.sum)}`);
  if (found.bias !== null && found.bias !== undefined) {
    items.push(`plus ${addedIn(layer)} ${number(found.bias, data)}: ${number(found.sum + found.bias)}`);
  }
  if (found.penalty) items.push(`plus the penalty's slope ${short(found.penalty, false)}`);
  if (found.only) items.push(`These are the terms of ${found.only}; the number is the sum over the whole batch`);
  if (isWrong(found, data) && !wrongStatistics(found, data).length) items.push(markOfSum(found, layer, data, who, channels));
  const isPlain = found.activation?.name === "linear" && !isWrongActivation(found.activation, data); // z is the number
  if (found.z !== null && found.z !== undefined && !isPlain) items.push(`The value before the activation: z = ${number(found.z, data)}`);
  if (found.activation && !isPlain) items.push(...stepsOfActivation(found.activation, data, who));
  return make("ol", { class: "steps" }, items.map((item) => make("li", {}, item)));
}

/** Return what the activation makes of z, by its formula if the network has another number; and that one marked. */
function stepsOfActivation(activation, data, who) {
  const { name, kink, after, shown, terms, sum } = activation;
  const wrong = isWrongActivation(activation, data);
  const slope = wrong ? activation.shownSlope : activation.slope;
  let text = `${name}(z) = ${number(wrong ? shown : after, data)}`;
  if (terms) text += `: exp(z − largest) divided by the sum ${short(sum, false)} of ${terms.length === 1 ? "this exponential alone" : `all ${terms.length} such exponentials`}`;
  if (slope !== null && slope !== undefined && name !== "linear") text += `; its slope here is ${short(slope, false)}`;
  if (kink) text += ". This is a kink: the slope jumps here, and the engine takes that of the left side";
  return [text, ...(wrong ? [mark(`${who} gives ${number(unsigned(after), data)}; ${number(shown, data)} is right.`)] : [])];
}

/** Return what comes after the sum, for somebody who is to find the number: without any result. */
function toCome(found, layer, data) {
  const items = isMaximum(layer) || found.kept !== undefined ? [] : particular(found, layer, data).slice(0, 1);
  if (found.bias) items.push(`then ${addedIn(layer)} ${number(found.bias, data)} is added`);
  if (found.activation && found.activation.name !== "linear") items.push(`then comes ${found.activation.name}`);
  return make("ul", { class: "steps" }, items.map((text) => make("li", {}, text)));
}

/** Return the sums of an explanation that have terms, and the one of them whose number is `part`. */
export function openedPart(found, part) {
  const parts = (found.parts ?? []).filter((one) => one.terms.length);
  return [parts, parts[Math.max(0, Math.min(parts.length - 1, part))]];
}

/**
 * Return which sum of an explanation is opened first, if nobody has chosen one: of a number that is wrong, the one that
 * it went wrong at; if that cannot be told, the one whose numbers could make the largest product. Otherwise the first.
 */
export function suspectedPart(found, layer, data) {
  if (!isWrong(found, data)) return 0;
  const reaches = openedPart(found, 0)[0].map(reachOf);
  return slipOf(found, layer, data)?.part ?? Math.max(0, reaches.indexOf(Math.max(...reaches)));
}

/** Return the largest product that the numbers of a sum could make, whichever of them were multiplied. */
function reachOf({ terms }) {
  const most = (numberOf) => Math.max(...terms.map((term) => Math.abs(numberOf(term))));
  return most(({ x, dz, dy }) => x ?? dz ?? dy) * most(({ factor, dz, dy }) => factor ?? dz ?? dy);
}

const isLinear = ({ activation }) => (activation?.name ?? "linear") === "linear";

/** Return a gradient's sums without the slope of an activation that there is not: dz is dy. */
function withoutActivation(found) {
  const parts = (found.parts ?? []).map((one) => (!one.terms.every((term) => "dz" in term) ? one : {
    ...one, title: one.title.replace("dz", "dy"), multiplied: "dy",
    terms: one.terms.map((term) => Object.fromEntries(Object.entries(term).filter(([key]) => key !== "dz" && key !== "slope"))),
  }));
  return { ...found, parts };
}

/** Return sums of one term each as one sum whose terms have the names of their channels; null if they are others. */
function byName(parts, channels) {
  if (!channels?.length || parts.length !== channels.length || parts.some((one) => one.terms.length !== 1)) return null;
  const terms = parts.map(({ channel, terms: [{ x, factor, product }] }) => ({ called: channels[channel], x, factor, product }));
  return { title: "x × factor", terms };
}

/**
 * Return an explanation as an element.
 *
 * @param found what arithmetic/index.js has returned
 * @param options layer; data, the typed array whose numbers are shown; name, such as "y(3, 4, 1)"; who, from makerOf;
 *   channels, the names of the input's channels, if they have any; part and setPart, which of the sums is open; say;
 *   isCase, whether the layer stands for a function that knows of no activation and no layer; stage, how much is shown:
 *   "asked" (no result, no products), "hint" (no result) or "open"
 */
export function explanationView(found, { layer, data, name, who, channels = null, part = 0, setPart = () => {}, say, isCase = false, stage = "open" }) {
  const [isOpen, withProducts] = [stage === "open", stage !== "asked"];
  const box = make("div", { class: "numbers", tabindex: 0, role: "group", "aria-label": `How ${name} came about` });
  const value = found.y ?? found.value;
  box.append(make("p", {}, `${name} = `, make("output", { class: "value" }, isOpen ? number(isWrong(found, data) ? unsigned(value) : value, data) : "?")));
  if (found.note) box.append(make("p", { class: "remark" }, found.note));
  const [parts, open] = openedPart(isCase && isLinear(layer) ? withoutActivation(found) : found, part);
  const named = byName(parts, channels);
  const isItself = isCase && found.activation && !Object.keys(layer.parameters).length; // z is the input
  if (named) box.append(listOf(named, data, withProducts, say));
  if (parts.length > 1 && !named) {
    box.append(choice(`One of ${parts.length} sums`, parts.map((one, n) => [String(n), withProducts ? `${one.title}: ${short(one.sum)}` : one.title]),
      String(parts.indexOf(open)), (value) => setPart(Number(value))));
  }
  if (open && !named && !isItself) box.append(isWindow(open) ? windowOf(open, layer, data, withProducts) : listOf(open, data, withProducts, say));
  if (!isOpen) {
    box.append(toCome(found, layer, data));
    return box;
  }
  if (found.activation?.terms) box.append(make("div", { class: "softmax" }, listOf({ title: "softmax", terms: found.activation.terms }, data, true, say)));
  box.append(steps(found, open, { layer, data, who, channels: named && channels }));
  if (isApart(found.rounding) && !isWrong(found, data)) {
    box.append(make("p", { class: "remark" }, `The sum as shown, in double precision, and this number differ by ${short(found.rounding)}. `
      + "This is rounding: a network adds in its own precision and order."));
  }
  return box;
}

// Numbers that are not what they should be --------------------------------------------------------------------------

/** The largest share of the terms' sizes by which rounding can move a sum, by the precision of the network's numbers. */
const SINGLE = 1e-4;
const DOUBLE = 1e-11;

/** Return a number without the sign of a zero, which is not what is wrong with it. */
const unsigned = (value) => (value === 0 ? 0 : value);

/** Return who has computed a network's numbers, to begin a sentence with: the function of a case, or the engine. */
export function makerOf({ case: shown, kernels }) {
  if (shown) return `Your ${shown.function} (${kernels})`;
  return kernels ? `The engine, with your functions (${kernels}),` : "The engine";
}

/** Return a mark behind a step that went wrong. */
const mark = (text) => make("span", { class: "error" }, `✗ ${text}`);

/** Return whether there is a difference; that to NaN, where there should be a number, is NaN. */
const isApart = (rounding) => Boolean(rounding) || Number.isNaN(rounding);

/** Return whether a difference is more than rounding, of a sum whose terms have this size together. */
export const isMore = (rounding, size, data) =>
  isApart(rounding) && !(Math.abs(rounding) <= (data instanceof Float64Array ? DOUBLE : SINGLE) * size);

/** Return the sizes of all terms of a sum together. */
const sizeOf = ({ parts, bias }) =>
  (parts ?? []).flatMap((one) => one.terms).reduce((sum, term) => sum + Math.abs(term.product), Math.abs(bias ?? 0));

/** Return whether a number is not the sum of its terms. */
const isWrong = (found, data) => isMore(found.rounding, sizeOf(found), data);

/** Return whether a number is not what the activation makes of the one before it. */
const isWrongActivation = ({ rounding, shown, before }, data) =>
  isMore(rounding, Math.max(Math.abs(shown), Math.min(1, Math.abs(before))), data);

/** Return the statistics of a batch that are not those of its numbers. Whatever follows from them is then no mistake. */
const wrongStatistics = (found, data) => (found.statistics ?? []).filter((one) => isMore(one.rounding, one.size, data));

/** Return marks for statistics of a batch, and for a window's winner. */
function marksOfParticulars(found, data, who) {
  const marks = wrongStatistics(found, data).map(({ name, given, shown }) =>
    mark(`${who} gives ${number(given, data)} as the ${name} of this channel; ${number(shown, data)} is right.`));
  if (found.first === undefined || found.tap === found.first) return marks;
  const stands = found.taken ? `, at (${found.taken.join(", ")})` : found.taken === null ? ", a pad" : ", which this window does not have";
  return [...marks, mark(`${who} takes tap ${found.tap}${stands}; tap ${found.first}, at (${found.winner.join(", ")}), is right.`)];
}

/** What can happen to one of the numbers that are added, and what that adds to the sum, as a multiple of the number. */
const SLIPS = [
  [(name) => `Without ${name}`, -1], [(name) => `With the other sign of ${name}`, -2], [(name) => `With ${name} twice`, 1],
];

/**
 * Return what, if it happened to one of the sums or to the bias, gives a number that is wrong: {part, text}, with the
 * place of the sum; null if there is no such thing, or several.
 */
function slipOf(found, layer, data, channels) {
  const [parts] = openedPart(found, 0);
  const named = parts.length > 1 ? parts.map((one, at) => ({ part: at, name: nameOf(one, channels), amount: one.sum })) : [];
  const added = [...named, ...(found.bias ? [{ part: null, name: addedIn(layer), amount: found.bias }] : [])];
  const size = sizeOf(found);
  for (const [text, times] of SLIPS) {
    const fitting = added.filter(({ amount }) => isMore(amount, size, data) && !isMore(found.rounding - times * amount, size, data));
    if (fitting.length === 1) return { part: fitting[0].part, text: text(fitting[0].name) };
  }
  return null;
}

/** Return what one of several sums is called within a sentence. */
function nameOf({ title, channel }, channels) {
  if (channels?.length) return channels[channel];
  const [brief] = title.split(/[:,]/);
  return brief.startsWith("through") ? `the part ${brief}` : brief;
}

/** Return the mark of a number that is not the sum of its terms. */
function markOfSum(found, layer, data, who, channels) {
  const got = unsigned(found.z ?? found.y ?? found.value);
  const right = number(found.sum + (found.bias ?? 0) + (found.penalty ?? 0), data);
  const count = (found.parts ?? []).flatMap((one) => one.terms).length;
  const added = found.bias ? ` and ${addedIn(layer)}` : found.penalty ? " and the penalty's slope" : "";
  const of = found.images ? ` of the ${found.images} images` : "";
  const is = isMaximum(layer) && "winner" in found ? `the largest number of the window is ${right}`
    : !Number.isFinite(got) || !count ? `${right} is right`
      : count === 1 && !added ? `the product is ${right}` : `the ${count === 1 ? "product" : "terms"}${of}${added} add up to ${right}`;
  const slip = isMaximum(layer) ? null : slipOf(found, layer, data, channels);
  return mark(`${who} gives ${number(got, data)}; ${is}.${slip ? ` ${slip.text}, it would be ${number(got, data)}.` : ""}`);
}

/** Return what is added to the sum of the products. */
const addedIn = ({ kind }) => ({ BatchNormalization: "beta", Rescaling: "the offset" }[kind] ?? "the bias");

/**
 * Return how the gradient of an image's cross-entropy by its logit `k` comes about, as an element.
 *
 * @param about logits; label; weight, what the image's loss is multiplied by; k; got, the network's number; data, the
 *   typed array that it is in; who, from makerOf
 */
export function lossGradientView({ logits, label, weight, k, got, data, who }) {
  const loss = { name: "sparse_categorical_crossentropy", from_logits: true };
  const { prediction, target, product } = explainLoss(loss, logits, { label }, true).terms[k];
  const right = product * weight;
  const rounded = (value) => number(unsigned(Number(value.toPrecision(12))), null, false);
  const items = [
    `The softmax of the image's logits gives class ${k} the probability p = ${rounded(prediction)}`,
    target ? `Class ${k} is the image's label, so 1 is subtracted: ${rounded(product)}`
      : `The image's label is class ${label}, so nothing is subtracted: ${rounded(product)}`,
    `times the weight of the image's loss, ${rounded(weight)}: ${rounded(right)}`,
  ];
  if (isMore(difference(got, right), Math.abs(weight) * (prediction + target), data)) {
    items.push(mark(`${who} gives ${number(unsigned(got), data)}; ${rounded(right)} is right.`));
  }
  return make("section", { class: "numbers", "aria-label": "The gradient of the loss" },
    make("h3", {}, "Where it comes from: the gradient of the loss"), make("ol", { class: "steps" }, items.map((item) => make("li", {}, item))));
}
