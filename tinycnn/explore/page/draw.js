// Draw for the network or give it a picture, and find images: its mistakes, and what excites its filters.

import { attention } from "./attention.js";
import { make, number } from "./dom.js";
import { galleries } from "./galleries.js";
import { photograph } from "./maps.js";
import { Newest } from "./newest.js";
import { Surface } from "./surface.js";

/** How many classes are all shown, in their order; of more, the most probable ones are. */
const MOST_CLASSES = 12;
const SHOWN_OF_MANY = 10;
const NAN = "The network gives NaN for this picture. Look inside shows in which layer that begins";

/** Fill a view. */
export async function mount(element, app) {
  const drawing = make("div", {}, make("p", {}, "Loading …"));
  element.append(drawing);
  if (app.source.isRecording) element.append(make("p", { class: "remark" }, "Galleries, and where the network looks, need the engine, which a recording does not have."));
  else element.append(galleries(app), attention(app));
  try {
    const about = await (await app.api("/api/pictures")).json();
    drawing.replaceChildren(make("h2", {}, "Draw"));
    if (about.drawing) drawing.append(studio(app, about));
    else drawing.append(make("p", {}, about.reason));
  } catch (error) {
    drawing.replaceChildren(make("p", { class: "error" }, error.message));
  }
}

/** Return the surface, its tools, and what the network makes of the drawing. */
function studio(app, { drawing, classes }) {
  const answer = new Answer(app, classes);
  const centring = make("input", {
    type: "checkbox", checked: drawing.centred, disabled: !drawing.centring, change: () => newest.ask(true),
  });
  const centred = () => (centring.checked ? "1" : "0");
  const surface = new Surface(drawing.shape, { changed: (isEnd, where) => newest.ask(isEnd, where), say: app.say });
  const send = (keep) => {
    const { width, height } = surface.canvas;
    const query = `height=${height}&width=${width}&channels=${surface.channels}&centred=${centred()}&keep=${keep}`;
    return app.arraysOf(app.api(`/api/pictures/drawing?${query}`, { method: "POST", body: surface.pixels() }));
  };
  const newest = new Newest(async (isEnd, where) => {
    try {
      answer.show(await send("0"), isEnd, where);
    } catch (error) {
      answer.fail(error);
    }
  // The end of a stroke must be announced, even if a newer change came before its turn.
  }, ([wasEnd], [isEnd, where]) => [wasEnd || isEnd, where]);
  const follow = async () => {
    try {
      app.show((await send("1")).description.image);
    } catch (error) {
      answer.fail(error);
    }
  };
  // After other weights came, the same drawing has another answer.
  let version = app.network.version;
  app.watch(() => {
    if (app.network.version !== version) newest.ask(false);
    version = app.network.version;
  });
  newest.ask(false);
  return make("div", { class: "studio" },
    make("div", {}, surface.element, tools(app, surface, centring, drawing),
      make("button", { type: "button", click: follow }, "Follow the drawing through the network"),
      app.source.isRecording ? null : upload(app, answer, centred)),
    answer.element);
}

/** Return the pen's controls. */
function tools(app, surface, centring, { shape, centring: canCentre, why: reason = "only square grey images are" }) {
  const pen = make("button", { type: "button", "aria-pressed": "true", click: () => choose(false) }, "Pen");
  const eraser = make("button", { type: "button", "aria-pressed": "false", click: () => choose(true) }, "Eraser");
  const choose = (erases) => {
    surface.erases = erases;
    pen.setAttribute("aria-pressed", String(!erases));
    eraser.setAttribute("aria-pressed", String(erases));
    app.say(erases ? "The eraser takes away." : "The pen paints.");
  };
  const thickness = make("input", {
    id: "thickness", type: "range", min: 0.5, max: Math.max(2, Math.round(Math.max(...shape.slice(0, 2)) / 4)), step: 0.5,
    value: surface.thickness, input: () => setThickness(),
  });
  const width = make("output", {});
  const setThickness = () => {
    surface.thickness = Number(thickness.value);
    width.textContent = `${thickness.value} px`;
  };
  setThickness();
  const colour = surface.channels === 3
    ? make("label", { class: "choice" }, make("span", {}, "Colour"),
      make("input", { type: "color", value: surface.colour, input: (event) => { surface.colour = event.target.value; } }))
    : null;
  const why = canCentre ? "" : ` (${reason})`;
  return make("div", { class: "tools" },
    make("div", { role: "group", "aria-label": "Tool" }, pen, eraser),
    make("button", { type: "button", click: () => surface.clear() }, "Clear"),
    make("label", { class: "choice", for: thickness.id }, make("span", {}, "Thickness ", width), thickness), colour,
    make("label", { class: "tick" }, centring, `Scaled and centred as in the training images${why}`),
    make("p", { class: "remark", id: "surface-keys" },
      "Keys: arrows move, space paints, delete erases, with shift arrows draw and delete clears everything."));
}

/** Return the choice of a file, whose picture is shown and kept. */
function upload(app, answer, centred) {
  const file = make("input", { type: "file", accept: "image/*" });
  const follow = make("button", { type: "button", hidden: true, click: () => app.show(follow.value) }, "Follow the picture");
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      const query = new URLSearchParams({ name: chosen.name.slice(0, 100), centred: centred() });
      const found = await app.arraysOf(app.api(`/api/pictures/upload?${query}`, { method: "POST", body: chosen }));
      answer.show(found, true);
      follow.value = found.description.image;
      follow.hidden = false;
    } catch (error) {
      follow.hidden = true;
      answer.fail(error);
    }
  });
  return make("div", { class: "tools" }, make("label", { class: "choice" }, make("span", {}, "Or a picture from a file"), file), follow);
}

/** What the network makes of a picture: it before and after, what was done to it, and the probabilities or the number. */
class Answer {
  constructor(app, classes) {
    Object.assign(this, { app, classes });
    this.before = make("canvas", { class: "preview", role: "img" });
    this.after = make("canvas", { class: "preview", role: "img" });
    this.done = make("p", { class: "remark" });
    this.body = make("tbody");
    this.number = make("p", { class: "answer" });
    const bars = make("div", { class: "numbers" },
      make("table", { class: "bars" }, make("caption", {}, "Probabilities"),
        make("thead", {}, make("tr", {}, ["class", "probability"].map((text) => make("th", { scope: "col" }, text)),
          make("td", { "aria-hidden": "true" }))),
        this.body));
    this.element = make("div", {},
      make("div", { class: "figures" },
        make("figure", { class: "figure" }, make("figcaption", {}, "As it is"), this.before),
        make("figure", { class: "figure" }, make("figcaption", {}, "What the network is given"), this.after)),
      this.done, app.network.gives_one_number ? this.number : bars);
  }

  /** Show an answer; at the end of a stroke it is spoken, after where that was. */
  show({ description, arrays }, isEnd, where = "") {
    for (const name of ["before", "after"]) {
      const image = photograph(arrays[name]);
      this[name].width = image.width;
      this[name].height = image.height;
      this[name].getContext("2d").drawImage(image, 0, 0);
    }
    this.before.setAttribute("aria-label", "The picture in the network's size");
    this.after.setAttribute("aria-label", "The picture as the network is given it");
    this.done.classList.remove("error");
    this.done.textContent = description.done.join("; ");
    const said = arrays.number ? this.showNumber(arrays.number.data) : this.showBars(arrays.probabilities.data, description.predicted);
    if (isEnd) {
      const found = description.empty ? description.done.join("; ") : said;
      this.app.say(where ? `${where}. ${found}` : found);
    }
  }

  /** Show the number that a network gives, and return what is said of it. */
  showNumber(data) {
    this.number.textContent = `The network's answer: ${number(data[0], data)}`;
    return Number.isNaN(data[0]) ? NAN : this.number.textContent;
  }

  /** Show the probabilities of the classes, and return what is said of them. */
  showBars(p, predicted) {
    let rows = [...p.keys()];
    if (rows.length > MOST_CLASSES) rows = rows.sort((a, b) => p[b] - p[a]).slice(0, SHOWN_OF_MANY);
    while (this.body.rows.length < rows.length) this.body.append(bar());
    rows.forEach((label, n) => {
      const [name, share, box] = this.body.rows[n].cells;
      const isFirst = label === predicted;
      name.title = this.classes[label] ?? label;
      name.textContent = `${isFirst ? "▶ " : ""}${name.title}`;
      share.textContent = percent(p[label]);
      box.firstChild.style.width = `${100 * p[label] || 0}%`;
      this.body.rows[n].classList.toggle("first", isFirst);
    });
    return predicted === null ? NAN : `Most probable: ${this.classes[predicted] ?? predicted}, ${percent(p[predicted])}`;
  }

  fail(error) {
    this.done.classList.add("error");
    this.done.textContent = `${error.message}. What is shown is from before.`.replace("..", ".");
    this.app.say(error.message);
  }
}

function bar() {
  return make("tr", {}, make("th", { scope: "row" }), make("td"), make("td", { class: "bar", "aria-hidden": "true" }, make("span")));
}

function percent(p) {
  return Number.isFinite(p) ? `${(100 * p).toFixed(2)} %` : String(p);
}
