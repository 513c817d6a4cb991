// Train the network beside the page: start, pause, one batch, another rate, back to any step, and a fork.

import { Curve, CurveFigure } from "./curves.js";
import { able, amount, choice, given, make, put } from "./dom.js";
import { Newest } from "./newest.js";
import { filterPicture, normTable, worstList } from "./seen.js";
import { unsettled } from "./settling.js";
import { listen } from "./stream.js";

const CHANGES = { rate: "another learning rate", scale: "initial weights times", batch_norm: "no batch normalization", shuffle: "another order of images" };
const WORDS = { running: "running", moving: "on its way", paused: "paused", failed: "stopped by an error", done: "all epochs are done" };

/** Fill a view. */
export async function mount(element, app) {
  const view = new TrainView(app);
  element.append(view.element);
  try {
    await view.load();
  } catch (error) {
    app.say(error.message);
    element.prepend(make("p", { class: "error" }, error.message));
    return;
  }
  listen(app, "/api/training/events", view.state.sequence, (kind, content, id) => view.hear(kind, content, id));
}

class TrainView {
  constructor(app) {
    this.app = app;
    // Where the reader wants the training to be, until the server has told that it goes there: keys can be pressed
    // faster than it answers.
    this.wanted = this.wantedUntil = this.focusNext = null;
    this.last = 0;
    this.spoken = 0; // how many events were said
    this.goings = new Newest((step) => this.rewind(step));
    this.isSliding = this.isDrawn = this.isFollowing = this.isBehind = this.isBegun = false;
    this.makeBeginning();
    this.makeControls();
    this.makeFork();
    const { gives_one_number: isNumber } = app.network;
    this.figures = [new CurveFigure("Loss", 1), ...(isNumber ? [] : [new CurveFigure("Accuracy", 2)])];
    this.filters = make("div", { class: "figures" });
    this.norms = make("div", { class: "numbers" });
    this.worst = make("div");
    this.running = make("div", { hidden: true }, this.controls, this.forking,
      make("div", { class: "figures" }, this.figures.map(({ element }) => element)),
      make("h2", {}, "Filters of the first layer"), make("p", { class: "remark" }, "A bar marks a negative weight."), this.filters,
      make("h2", {}, "Gradients"), this.norms,
      make("h2", {}, "Worst predictions"), this.worst);
    this.element = make("div", { class: "training" }, this.beginning, this.running);
    addEventListener("resize", () => this.later());
    app.state?.watch?.(() => this.later());
  }

  // Controls -----------------------------------------------------------------------------------------------------

  makeBeginning() {
    const field = (text, attributes) => {
      const input = make("input", { "data-draft": true, ...attributes });
      return [input, make("label", { class: "choice" }, make("span", {}, text), input)];
    };
    const [batch, batchLabel] = field("Images in a batch", { type: "number", min: 1, max: 4096, value: 32 });
    const [rate, rateLabel] = field("Learning rate", { type: "number", min: 0, step: "any" });
    const [fresh, freshLabel] = field("New weights", { type: "checkbox", checked: true });
    const [shuffle, shuffleLabel] = field("Shuffle the images", { type: "checkbox", checked: true });
    this.firstRate = rate;
    const begin = async () => {
      const isEmpty = rate.value === "" && !rate.validity.badInput;
      const chosen = isEmpty ? {} : { rate: this.typed(rate, "Learning rate") };
      const size = this.typed(batch, "Images in a batch");
      if (size === null || chosen.rate === null) return;
      this.isBegun = true;
      const asked = { batch_size: size, shuffle: shuffle.checked, fresh: fresh.checked, ...chosen };
      if ((await this.ask("begin", asked, "The training is set up, at step 0.")) === null) this.isBegun = false;
    };
    this.about = make("p", { class: "remark" });
    this.summary = make("summary", {}, "Set up a training");
    this.beginning = make("details", { open: true }, this.summary, this.about,
      make("div", { class: "controls" }, batchLabel, rateLabel, freshLabel, shuffleLabel,
        make("button", { type: "button", click: begin }, "Set up, at step 0")));
  }

  /** Return the number in a field; if there is none, say so, and return null. */
  typed(input, what) {
    if (input.value !== "" && Number.isFinite(input.valueAsNumber)) return input.valueAsNumber;
    this.app.say(`${what}: please type a number, such as ${input.step === "any" ? "0.01" : "32"}.`);
    input.focus();
    return null;
  }

  /** Go back to a step, or forward to one that is known. */
  goTo(step) {
    this.wanted = step;
    this.later();
    this.goings.ask(step);
  }

  async rewind(step) {
    const told = await this.ask("rewind", { step });
    if (step === this.wanted) this.wantedUntil = told;
    if (told === null || this.last >= told) this.arrive();
  }

  /** Show again where the server says that the training is. */
  arrive() {
    if (this.goings.next) return;
    this.wanted = this.wantedUntil = null;
    this.later();
  }

  /** The step that is shown: where the training is, or goes. */
  get shown() {
    const { status, goal, step } = this.state.lanes.main;
    return this.wanted ?? (status === "moving" ? goal : step);
  }

  makeControls() {
    const button = (text, act) => make("button", { type: "button", click: act }, text);
    this.go = button("Go on", () => this.ask("start", {}, "The training runs."));
    this.pause = button("Pause", () => this.ask("pause", {}, "The training is paused after this batch."));
    this.one = button("One batch", () => this.ask("step", {}, "One batch is trained."));
    this.back = button("One batch back", () => {
      this.goTo(Math.max(0, this.shown - 1));
      this.app.say(`Back to step ${this.shown}.`);
    });
    this.rate = make("input", {
      type: "number", min: 0, step: "any", "data-draft": true, keydown: (event) => event.key === "Enter" && set(),
    });
    const set = async () => {
      const rate = this.typed(this.rate, "Learning rate");
      if (rate === null) return;
      const told = await this.ask("rate", { rate }, `The learning rate is ${rate} from now on.`);
      if (told !== null) given(this.rate);
    };
    this.slider = make("input", {
      type: "range", min: 0, max: 0, step: 1, value: 0, id: "step-of-training", class: "steps-slider",
      input: () => {
        this.isSliding = true;
        this.at.textContent = this.slider.value;
      },
      change: () => {
        this.isSliding = false;
        this.goTo(Number(this.slider.value));
      },
      blur: () => { this.isSliding = false; },
    });
    this.at = make("output", { class: "value", for: "step-of-training" }, "0");
    this.status = make("p", { class: "numbers" });
    this.failure = make("p", { class: "error", hidden: true });
    this.early = make("p", { class: "remark early", hidden: true });
    this.controls = make("section", { "aria-label": "Course of the training" },
      make("div", { class: "controls" }, this.go, this.pause, this.one, this.back,
        make("label", { class: "choice" }, make("span", {}, "Learning rate"), this.rate), button("Set the rate", set)),
      make("label", { class: "choice wide", for: "step-of-training" }, "Step: go back to any of them, to the bit"),
      make("div", { class: "step" }, this.slider, this.at),
      this.status, this.early, this.failure);
  }

  makeFork() {
    this.change = choice("With one change", [["rate", CHANGES.rate]], "rate", () => this.chooseChange());
    this.value = make("input", { type: "number", min: 0, step: "any", "aria-label": "Value of the change", "data-draft": true });
    this.fork = make("button", { type: "button", click: () => this.askFork() }, "Fork");
    this.drop = make("button", { type: "button", click: () => this.ask("drop", {}, "The fork has ended.") }, "End the fork");
    this.forkStatus = make("p", { class: "numbers" });
    this.forking = make("section", { "aria-label": "Fork" }, make("div", { class: "controls" }, this.change, this.value, this.fork, this.drop), this.forkStatus);
  }

  chooseChange() {
    const change = this.change.querySelector("select").value;
    this.value.hidden = change === "batch_norm" || change === "shuffle";
    if (this.value.dataset.of !== change) given(this.value); // what was typed was for another change
    this.value.dataset.of = change;
    if (change === "rate") put(this.value, this.state.lanes.main.rate * 3);
    if (change === "scale") put(this.value, 3);
  }

  askFork() {
    const change = this.change.querySelector("select").value;
    const values = { batch_norm: false, shuffle: !this.state.lanes.main?.settings.shuffle };
    const value = change in values ? values[change] : this.typed(this.value, "Value of the change");
    if (value !== null) this.ask("fork", { change, value }, `Forked, with ${CHANGES[change]}${change in values ? "" : `: ${value}`}.`);
  }

  /**
   * Give a command; what follows from it comes as events. Return the number of the last of those that belong to it, or
   * null if it was refused. It is said that it was not, unless an event has said more by then.
   */
  async ask(name, more = {}, done = "") {
    const { spoken } = this;
    try {
      const { sequence } = await (await this.app.send("/api/training", { do: name, ...more })).json();
      if (done && spoken === this.spoken) this.app.say(done);
      return sequence;
    } catch (error) {
      this.app.say(error.message);
      return null;
    }
  }

  // What comes from the server -----------------------------------------------------------------------------------

  async load() {
    this.take(await (await this.app.api("/api/training")).json());
  }

  /** Take the state as a whole. */
  take(state) {
    const wasThere = Boolean(this.state?.lanes.main);
    this.state = state;
    this.last = Math.max(this.last, state.sequence);
    for (const lane of Object.values(state.lanes)) {
      lane.batches = new Curve(lane.batches);
      lane.validation = new Curve(lane.validation);
    }
    const { defaults, lanes } = state;
    const isThere = Boolean(lanes.main);
    const hasFocus = (element) => element.contains(document.activeElement);
    // It closes with what was set up in it; other news, such as the end of a fork, leave it as the reader has it.
    const closes = isThere && (this.isBegun || !wasThere);
    if (closes && this.beginning.open && hasFocus(this.beginning)) this.focusNext = this.go;
    if (!lanes.fork && hasFocus(this.drop)) this.focusNext = this.fork; // it goes now
    this.running.hidden = !isThere;
    if (closes || !isThere) this.beginning.open = !isThere;
    if (closes) this.isBegun = false;
    this.summary.textContent = isThere ? "Set up another training" : "Set up a training";
    this.about.textContent = defaults.images
      ? `${amount(defaults.images, "image")}, with ${defaults.optimizer}. The other views show its weights whenever it is paused.`
      : "There are no images to train on. Start the page with --data NAME.";
    put(this.firstRate, defaults.rate ?? "");
    this.firstRate.disabled = defaults.rate === null;
    if (isThere) {
      const possible = Object.entries(CHANGES).filter(([name]) => state.changes[name]);
      const select = this.change.querySelector("select");
      const { value: chosen } = select;
      select.replaceChildren(...possible.map(([value, text]) => make("option", { value }, text)));
      if (possible.some(([value]) => value === chosen)) select.value = chosen;
      this.chooseChange();
      put(this.rate, lanes.main.rate);
    }
    this.later();
  }

  hear(kind, content, id) {
    this.last = id;
    if (this.wantedUntil !== null && id >= this.wantedUntil) this.arrive();
    if (kind === "state") {
      this.take(content);
      return;
    }
    if (kind === "weights") {
      this.follow();
      return;
    }
    if (kind === "status") {
      for (const [name, brief] of Object.entries(content.lanes)) this.update(name, brief);
    } else {
      const { lane: name, ...rest } = content;
      const lane = this.state.lanes[name];
      if (!lane) return;
      if (kind === "progress") {
        lane.batches.add(rest.batches);
        this.update(name, { ...rest, batches: lane.batches });
      } else if (kind === "examined") {
        lane.validation.add(rest.validation);
        Object.assign(lane, { worst: rest.worst, figures: rest.figures });
      } else if (kind === "cut") {
        lane.batches.cut(rest.step);
        lane.validation.cut(rest.step);
      } else if (kind === "failed") this.app.say(`Training has stopped at step ${rest.step}. ${rest.message}`);
    }
    this.later();
  }

  update(name, news) {
    const lane = this.state.lanes[name];
    if (!lane) return;
    const before = lane.status;
    if (name === "main" && news.rate !== lane.rate) put(this.rate, news.rate);
    Object.assign(lane, news);
    if (name === "main" && before !== "paused" && lane.status === "paused") {
      const { figures: [loss, accuracy] = [] } = lane;
      const right = accuracy === null ? "" : `, accuracy ${short(accuracy)}`;
      this.spoken += 1;
      this.app.say(`Step ${lane.step}${loss === undefined ? "" : `: on test images loss ${short(loss)}${right}`}`);
    }
  }

  /** Let the other views take the new weights; what comes while they ask is asked for once, afterwards. */
  async follow() {
    this.isBehind = true;
    if (this.isFollowing) return;
    this.isFollowing = true;
    while (this.isBehind) {
      this.isBehind = false;
      try {
        await this.app.weightsChanged();
      } catch (error) {
        this.app.say(error.message);
      }
    }
    this.isFollowing = false;
  }

  get position() {
    return this.state.lanes.main?.step ?? 0;
  }

  // What is shown ------------------------------------------------------------------------------------------------

  /** Draw with the next frame, however much has come until then. */
  later() {
    if (this.isDrawn) return;
    this.isDrawn = true;
    requestAnimationFrame(() => {
      this.isDrawn = false;
      if (this.state?.lanes.main) this.draw();
    });
  }

  draw() {
    const { main, fork } = this.state.lanes;
    const lanes = { main: { ...main, title: "training" }, ...(fork ? { fork: { ...fork, title: `fork, ${this.state.fork}` } } : {}) };
    const isRunning = main.status === "running";
    const cannot = main.status === "failed" || main.status === "done";
    able(this.go, !isRunning && !cannot);
    able(this.one, !cannot);
    able(this.pause, isRunning);
    able(this.back, this.shown > 0);
    this.drop.hidden = !fork;
    this.slider.max = main.farthest;
    if (!this.isSliding) {
      this.slider.value = this.shown;
      this.at.textContent = this.shown;
    }
    this.slider.setAttribute("aria-valuetext", `step ${this.slider.value} of ${main.farthest}`);
    this.status.textContent = this.where(main);
    const { batches_before: before, settles_after: enough } = this.state;
    this.early.textContent = before === null ? "" : unsettled({ batches: before + main.step, settles_after: enough });
    this.early.hidden = !this.early.textContent;
    this.forkStatus.textContent = fork ? `Fork with ${this.state.fork}: ${this.where(fork)}` : "";
    const failed = Object.values(lanes).filter(({ failure }) => failure);
    this.failure.hidden = !failed.length;
    this.failure.textContent = failed.map(({ title, failure }) => `${title}: ${failure.layer === null ? "" : `it began in the layer ${failure.layer}. `}${failure.message}`).join(" ");
    for (const figure of this.figures) figure.show(lanes, main.step);
    this.filters.replaceChildren(...Object.entries(lanes).map(([name, lane]) => filterPicture(name === "main" ? "training" : name, lane.filters)));
    this.norms.replaceChildren(normTable(Object.values(lanes)));
    worstList(this.app, this.worst, main.worst);
    this.focusNext?.focus();
    this.focusNext = null;
  }

  /** Say where a training is. */
  where({ status, step, goal, farthest, rate }) {
    const epoch = Math.floor(step / this.state.steps_per_epoch);
    const way = status === "moving" ? ` to step ${goal}` : "";
    return `${WORDS[status]}${way}; step ${step} of ${farthest}, epoch ${epoch + 1}, batch ${step - epoch * this.state.steps_per_epoch} `
      + `of ${this.state.steps_per_epoch}, learning rate ${rate}`;
  }
}

const short = (value) => (value === null ? "none" : String(Number(value.toPrecision(3))));
