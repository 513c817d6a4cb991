// Make elements. Texts become text nodes, so that a hostile name can never become markup.

/**
 * Return an element with attributes (functions become listeners) and children (elements or texts).
 *
 * A button that `able` has switched off is not told of clicks.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") element.addEventListener(name, (event) => element.getAttribute("aria-disabled") !== "true" && value(event));
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Switch a button on or off. It keeps the focus, which a browser takes from one that is disabled by its attribute. */
export function able(button, can) {
  button.setAttribute("aria-disabled", String(!can));
}

const REACHED = "a, button, input, select, summary, [tabindex]";

/** Return what a control is called, as far as that stays the same when it is made anew. */
const called = (one) =>
  `${one.tagName} ${one.getAttribute("aria-label") ?? one.labels?.[0]?.firstElementChild?.textContent ?? one.textContent}`;

/** Return [control, which of those with its name it is] for all controls in a box that can be seen. */
function controlsIn(box) {
  const counts = new Map();
  return [...box.querySelectorAll(REACHED)].filter((one) => one.checkVisibility()).map((one) => {
    const name = called(one);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return [one, `${name} ${counts.get(name)}`];
  });
}

// What is typed into a field is given when the field is left, or with Enter; until then its text differs from its default.
// A field with `data-draft` is given by a button, which calls `given`.
document.addEventListener("change", (event) => {
  const { target } = event;
  // A browser takes what is typed into a field that is removed for given; but somebody may still be typing.
  if (isChanging) event.stopPropagation();
  else if (target.matches("input") && !("draft" in target.dataset)) given(target);
}, true);
let isChanging = false;

const isTyped = (input) => ["text", "number"].includes(input.type) && input.value !== input.defaultValue;

/** Take note that what was typed into a field has been used, so that it may change. */
export function given(input) {
  input.defaultValue = input.value;
}

/** Show a value in a field, but not in place of what somebody is typing there. */
export function put(input, value) {
  if (isTyped(input)) return;
  input.defaultValue = value;
  input.value = value;
}

/** Write into a field what was being typed into the one before it. It tells of it as if it had been typed there. */
function takeOver(field, text) {
  field.value = text;
  const tell = () => isTyped(field) && field.dispatchEvent(new Event("change", { bubbles: true }));
  field.addEventListener("blur", tell);
  field.addEventListener("keydown", ({ key }) => key === "Enter" && tell());
}

/**
 * Change what is in a box. What was typed and not given yet stays in the field of the same name. If the control that had
 * the focus is gone then, the one that is called the same gets it, or else the one that has its place, or else what is
 * around the box.
 */
export function keepFocus(box, change) {
  const before = controlsIn(box);
  const at = before.findIndex(([one]) => one === document.activeElement);
  const typed = before.filter(([one]) => one.matches("input") && isTyped(one));
  const isOutermost = !isChanging;
  isChanging = true;
  try {
    change();
  } finally {
    if (isOutermost) isChanging = false;
  }
  for (const [{ value, isConnected }, name] of typed) {
    const field = isConnected ? null : controlsIn(box).find(([one, itsName]) => itsName === name && one.matches("input"))?.[0];
    if (field) takeOver(field, value);
  }
  if (at < 0 || (box.contains(document.activeElement) && document.activeElement.checkVisibility())) return;
  const after = controlsIn(box);
  const found = after.find(([, name]) => name === before[at][1]) ?? after[Math.min(at, after.length - 1)];
  (found?.[0] ?? box.closest("[tabindex]"))?.focus();
}

/** Return a labelled select whose options are [value, text] pairs; change(value) is called when one is chosen. */
export function choice(text, options, value, change) {
  const select = make("select", { change: () => change(select.value) });
  for (const [key, title] of options) select.append(make("option", { value: key }, title));
  select.value = value;
  return make("label", { class: "choice" }, make("span", {}, text), select);
}

/** Return a table: a caption, headings and rows of texts; the first cell of a row is its heading. */
export function table(caption, headings, rows, attributes = {}) {
  const head = make("tr", {}, headings.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((row) =>
    make("tr", {}, row.map((cell, n) => (n ? make("td", {}, cell) : make("th", { scope: "row" }, cell)))));
  return make("table", attributes, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, body));
}

/**
 * Return a number as a text with as few digits as name it exactly in its own dtype, with a sign that can be read.
 * @param signed whether a positive number gets a plus.
 */
export function number(value, data = null, signed = false) {
  if (value === null || value === undefined) return "—";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const round = data instanceof Float32Array ? Math.fround : (x) => x;
  const size = Math.abs(value);
  let text = String(size);
  if (data instanceof Float32Array) {
    for (let digits = 1; digits <= 9; digits += 1) {
      text = String(Number(size.toPrecision(digits)));
      if (round(Number(text)) === size) break;
    }
  }
  return (value < 0 || Object.is(value, -0) ? "−" : signed && value > 0 ? "+" : "") + text;
}

/** Return the word for so many of something: "image" for 1, "images" for 3. */
export const plural = (count, what) => (count === 1 ? what : `${what}s`);

/** Return how many there are of something: "1 image", "3 images". */
export const amount = (count, what) => `${number(count)} ${plural(count, what)}`;

/** Return the numbers of some rows or columns, the last of which is counted: "row 3", "rows 3 to 5". */
export const span = (what, first, last) => (first === last ? `${what} ${first}` : `${what}s ${first} to ${last}`);

/** Return a number with four digits, for places where many stand side by side; the exact one is its title. */
export function short(value, signed = true) {
  if (!Number.isFinite(value)) return number(value);
  const text = Math.abs(value) < 1e-4 && value !== 0 ? Math.abs(value).toExponential(1) : Number(Math.abs(value).toPrecision(3));
  return (value < 0 ? "−" : signed && value > 0 ? "+" : "") + text;
}

/** Return a shape or an index as a text: 26×26×8. */
export const times = (shape) => shape.join("×");

/** Return how many there are of something in a shape: "1×1 pixel", "3×3 pixels". */
export const sized = (shape, what) => `${times(shape)} ${plural(shape.reduce((product, length) => product * length, 1), what)}`;
