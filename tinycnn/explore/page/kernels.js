// A learner's own kernels beside the reference's: layer by layer, with the first number that is wrong.

import { make, number, short, table } from "./dom.js";
import { ownName } from "./selection.js";

/** Return two numbers that differ, with as many digits as tell them apart. */
function apart(got, expected) {
  const write = short(got) === short(expected) ? (value) => number(value, null, true) : short;
  return `${write(got)} instead of ${write(expected)}`;
}

/** Build the view; `app` is described in main.js. */
export function mount(section, app) {
  const about = make("p");
  const result = make("div", { class: "numbers", tabindex: 0, role: "group", "aria-label": "The comparison" });
  const again = make("button", { type: "button", click: () => reload() }, "Load the file again");
  const compare = make("button", { type: "button", click: () => compareNow() }, "Compare with the reference");
  section.append(make("h2", {}, "Your kernels"), about, make("div", { class: "controls" }, compare, again), result);

  async function act(body) {
    try {
      const answer = await (await app.send("/api/kernels", body)).json();
      tell(answer);
      return answer;
    } catch (error) {
      result.replaceChildren(make("p", { class: "error" }, error.message));
      app.say(error.message);
      return null;
    }
  }

  /** Load the file anew; if that fails, this is said in every view, because all of them show what was computed before. */
  async function reload() {
    try {
      tell(await (await app.send("/api/kernels", { do: "reload" })).json());
    } catch (error) {
      result.replaceChildren();
      app.fileFailed(error.message);
      return;
    }
    app.fileFailed("");
    await app.weightsChanged().catch(app.failed);
    await compareNow();
  }

  function tell({ file, kernels, changed }) {
    const { function: of } = app.network.case ?? {};
    about.textContent = (of ? `Your ${of} (${file}) computes numbers of this page; all others are the engine's.`
      : `${file} has ${kernels.join(", ")}; all other kernels are the reference's. `
        + "The network on this page runs on them, and trains on them.") + `${changed ? " The file has changed since it was loaded." : ""}`;
  }

  async function compareNow() {
    // Not those of the pass that is shown: with broken kernels there may never have been one.
    const answer = await act({ do: "compare", image: app.state.get("image"), mode: app.state.get("mode") });
    if (!answer) return;
    const rows = answer.entries.map((entry, n) => [
      entry.name,
      (entry.kernels.length && app.network.case?.function) || entry.kernels.join(", ") || "—",
      ...["forward", "backward"].map((part) => outcome(entry[part], n, part)),
      outcomes(entry.gradients),
    ]);
    const wrong = answer.entries.filter((entry) => !entry.equal);
    const namesOf = (some, what) => (some.length ? [`✗ ${some.map((entry) => entry.name).join(", ")}: ${what}.`] : []);
    const verdict = wrong.length ? [
      ...namesOf(wrong.filter((entry) => errors(entry).length), "an error in your functions"),
      ...namesOf(wrong.filter((entry) => !errors(entry).length), "other numbers than the reference's"),
    ].join(" ") : "✓ Everything is as the reference has it.";
    result.replaceChildren(
      table("Each layer is given what the reference's layers before it give", ["layer", "your functions in it", "result", "dx", "gradients of parameters"], rows, { class: "outcomes" }),
      make("p", { class: wrong.length ? "error" : "good" }, verdict), ...wrong.flatMap(errors));
    result.dataset.wrong = wrong.map((entry) => entry.name).join(" ");
    app.say(verdict);
  }

  /** Return a cell's content for one difference: a tick, or a button that leads to the first wrong number. */
  function outcome(found, n, part) {
    if (!found) return "—";
    if (found.equal) return "✓";
    if (found.error) return "✗ an error";
    const [place, ...at] = found.first_wrong;
    const layer = app.network.layers[n];
    const [from] = app.state.get("image").split("-");
    const image = `${from}-${place}`;
    const { result } = app.network.case ?? {};
    const own = at.length ? ownName(app, { n, part: part === "forward" ? "y" : "dx", shape: layer[part === "forward" ? "output_shape" : "input_shape"], index: at, image })
      : result?.part === "losses" ? `${result.name}[${place}]` : null;
    const where = own ?? (at.length ? `at (${at.join(", ")})` : `in image ${place} of the pass`);
    const text = `✗ ${number(found.wrong)} of ${number(found.size)}; first ${where}: ${apart(Number(found.got), Number(found.expected))}`;
    if (n >= app.network.layers.length) return text;
    return make("button", {
      type: "button",
      click: () => app.state.set({ view: "inside", layer: n, at: at.join(","), part: "", way: part, ...(app.network.whole ? { image } : {}) }),
    }, text);
  }

  function outcomes(gradients) {
    const wrong = Object.entries(gradients ?? {}).filter(([, found]) => !found.equal);
    if (!wrong.length) return Object.keys(gradients ?? {}).length ? "✓" : "—";
    return wrong.map(([name, found]) => `✗ ${name}${found.error ? ": an error" : `: ${found.wrong} of ${found.size}`}`).join("; ");
  }

  /** Return the errors that a learner's functions have raised in a layer. */
  function errors(entry) {
    const all = [entry.forward, entry.backward, ...Object.values(entry.kept ?? {}), ...Object.values(entry.gradients ?? {})];
    const found = new Map(all.filter((one) => one?.error).map((one) => [one.error, one.place]));
    return [...found].map(([text, place]) => make("div", {}, make("p", { class: "error" }, `${entry.name}: ${text}`),
      place ? make("pre", { tabindex: 0 }, `${place.file}, line ${place.line}\n${place.code}`) : ""));
  }

  app.api("/api/kernels").then((answer) => answer.json()).then(tell).catch((error) => app.say(error.message));
  if (app.state.get("compare")) compareNow(); // whoever has made the address has asked for it
}
