// Show how one number came about: what arithmetic/index.js has found out, as tables of numbers and sentences.

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
  const isWide = columns.length > MOST_EXACT;
  const written = (value, key) => {
    const array = key === "product" ? null : data;
    // Whatever can have either sign has one, as in the windows; an exponential cannot.
    const signed = key !== "exponential";
    if (!isWide) return number(value, array, signed);
    return make("span", { title: number(value, array) }, short(value, signed));
  };
  // In a gradient, dz is multiplied; where the sums are named by filters, this has to be said as well.
  const isOf = "dz" in sorted[0] && !part.title.includes("×") ? ", dz × factor" : "";
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
    const tie = found.ties > 1 ? `; ${found.ties} values are equal, and the first of them wins` : "";
    return [`The largest number of the window stands at (${found.winner.join(", ")})${tie}. In the backward pass it gets the whole gradient`];
  }
  if (found.count !== undefined) return [`The average of ${found.count} pixels: each counts ${found.count > 1 ? `1/${found.count}` : "fully"}. Pads do not count`];
  if (layer.kind === "Dropout" && found.kept !== undefined) {
    if (found.kept === null) return ["In prediction, dropout changes nothing"];
    return [found.kept ? `This number was kept, and multiplied by 1 / (1 − ${found.rate}) = ${short(found.scale, false)}` : "This number was dropped: it counts as 0 in this step"];
  }
  if (layer.kind === "GaussianNoise" && found.noise !== undefined) return [found.noise ? `The noise that was added: ${of(found.noise)}` : "In prediction, no noise is added"];
  return [];
}

/** Return what happens after the products: the sums, the bias, the activation. */
function steps(found, layer, data) {
  const items = particular(found, layer, data);
  const parts = found.parts ?? [];
  if (parts.length > 1) items.push(`The ${parts.length} sums together: ${number(found.sum)}`);
  else if (parts.length && parts[0].terms.length > 1 && !isMaximum(layer)) items.push(`The sum of the ${parts[0].terms.length} terms: ${number(found.sum)}`);
  if (found.bias !== null && found.bias !== undefined) {
    items.push(`plus the ${layer.kind === "BatchNormalization" ? "beta" : layer.kind === "Rescaling" ? "offset" : "bias"} ${number(found.bias, data)}: ${number(found.sum + found.bias)}`);
  }
  if (found.penalty) items.push(`plus the penalty's slope ${short(found.penalty, false)}`);
  if (found.only) items.push(`These are the terms of ${found.only}; the engine's number is the sum over the whole batch`);
  if (found.z !== null && found.z !== undefined) items.push(`The value before the activation, as the engine has it: z = ${number(found.z, data)}`);
  if (found.activation) {
    const { name, slope, kink, after, terms, sum } = found.activation;
    let text = `${name}(z) = ${number(after, data)}`;
    if (terms) text += `: exp(z − largest) divided by the sum ${short(sum, false)} of all ${terms.length} such exponentials`;
    if (slope !== null && slope !== undefined && name !== "linear") text += `; its slope here is ${short(slope, false)}`;
    if (kink) text += ". This is a kink: the slope jumps here, and the engine takes that of the left side";
    items.push(text);
  }
  return make("ol", { class: "steps" }, items.map((text) => make("li", {}, text)));
}

/** Return what comes after the sum, for somebody who is to find the number: without any result. */
function toCome(found, layer, data) {
  const items = isMaximum(layer) || found.kept !== undefined ? [] : particular(found, layer, data).slice(0, 1);
  if (found.bias) items.push(`then ${layer.kind === "BatchNormalization" ? "beta" : "the bias"} ${number(found.bias, data)} is added`);
  if (found.activation && found.activation.name !== "linear") items.push(`then comes ${found.activation.name}`);
  return make("ul", { class: "steps" }, items.map((text) => make("li", {}, text)));
}

/** Return the sums of an explanation that have terms, and the one of them whose number is `part`. */
export function openedPart(found, part) {
  const parts = (found.parts ?? []).filter((one) => one.terms.length);
  return [parts, parts[Math.max(0, Math.min(parts.length - 1, part))]];
}

/**
 * Return an explanation as an element.
 *
 * @param found what arithmetic/index.js has returned
 * @param options layer; data, the typed array whose numbers are shown; name, such as "y(3, 4, 1)"; part and setPart,
 *   which of the sums is open; say; stage, how much is shown: "asked" (no result, no products), "hint" (no result) or "open"
 */
export function explanationView(found, { layer, data, name, part = 0, setPart = () => {}, say, stage = "open" }) {
  const [isOpen, withProducts] = [stage === "open", stage !== "asked"];
  const box = make("div", { class: "numbers", tabindex: 0, role: "group", "aria-label": `How ${name} came about` });
  box.append(make("p", {}, `${name} = `, make("output", { class: "value" }, isOpen ? number(found.y ?? found.value, data) : "?")));
  if (found.note) box.append(make("p", { class: "remark" }, found.note));
  const [parts, open] = openedPart(found, part);
  if (parts.length > 1) {
    box.append(choice(`One of ${parts.length} sums`, parts.map((one, n) => [String(n), withProducts ? `${one.title}: ${short(one.sum)}` : one.title]),
      String(parts.indexOf(open)), (value) => setPart(Number(value))));
  }
  if (open) box.append(isWindow(open) ? windowOf(open, layer, data, withProducts) : listOf(open, data, withProducts, say));
  if (!isOpen) {
    box.append(toCome(found, layer, data));
    return box;
  }
  if (found.activation?.terms) box.append(make("div", { class: "softmax" }, listOf({ title: "softmax", terms: found.activation.terms }, data, true, say)));
  box.append(steps(found, layer, data));
  if (isApart(found.rounding)) box.append(apart("The sum as shown", found.rounding, isRounding(found.rounding, sizeOf(found), data)));
  for (const one of found.statistics ?? []) {
    if (!isApart(one.rounding) || isRounding(one.rounding, one.size, data)) continue;
    box.append(make("p", { class: "error" }, `✗ The ${one.name} of this channel is ${short(one.shown, false)}. The engine's differs from it by ${short(one.rounding)}, more than rounding: the kernel has computed something else.`));
  }
  if (found.first !== undefined && found.tap !== found.first) {
    box.append(make("p", { class: "error" }, `✗ The kernel says that tap ${found.tap} has won; the first tap with the largest number is ${found.first}.`));
  }
  const { name: applied, rounding, shown, before } = found.activation ?? {};
  if (isApart(rounding) && !isRounding(rounding, Math.max(Math.abs(shown), Math.min(1, Math.abs(before))), data)) {
    box.append(apart(`${applied}(z)`, rounding, false));
  }
  return box;
}

/** The largest share of the terms' sizes by which rounding can move a sum, by the precision of the engine's numbers. */
const SINGLE = 1e-4;
const DOUBLE = 1e-11;

/** Return whether there is a difference; that to NaN, where there should be a number, is NaN. */
const isApart = (rounding) => Boolean(rounding) || Number.isNaN(rounding);

const isRounding = (rounding, size, data) => Math.abs(rounding) <= (data instanceof Float64Array ? DOUBLE : SINGLE) * size;

/** Return the sizes of all terms of a sum together. */
const sizeOf = ({ parts, bias }) =>
  (parts ?? []).flatMap((one) => one.terms).reduce((sum, term) => sum + Math.abs(term.product), Math.abs(bias ?? 0));

/** Return how far the engine's number is from what it should be, and whether that can be rounding. */
function apart(what, rounding, canBe) {
  const text = `${what}, in double precision, and the engine's number differ by ${short(rounding)}. `;
  if (canBe) {
    return make("p", { class: "remark" }, `${text}This is rounding: the engine adds in its own precision and order.`);
  }
  return make("p", { class: "error" }, `✗ ${text}This is more than rounding: the kernel has computed something else.`);
}
