// Train the network beside the page: start, pause, one batch, another rate, back to any step, and a fork.

import { Curve, CurveFigure } from "./curves.js";
import { choice, make } from "./dom.js";
import { filterPicture, normTable, worstList } from "./seen.js";
import { listen } from "./stream.js";

const CHANGES = { rate: "another learning rate", scale: "initial weights times", batch_norm: "no batch normalization", shuffle: "another order of images" };
const WORDS = { running: "running", moving: "on its way", paused: "standing still", failed: "stopped by an error", done: "all epochs are done" };

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
  listen(app, "/api/training/events", view.state.sequence, (kind, content) => view.hear(kind, content));
}

class TrainView {
  constructor(app) {
    this.app = app;
    this.isSliding = this.isDrawn = this.isFollowing = this.isBehind = false;
    this.makeBeginning();
    this.makeControls();
    this.makeFork();
    this.loss = new CurveFigure("Loss", 1);
    this.accuracy = new CurveFigure("Accuracy", 2);
    this.filters = make("div", { class: "figures" });
    this.norms = make("div", { class: "numbers" });
    this.worst = make("div");
    this.running = make("div", { hidden: true }, this.controls, this.forking,
      make("div", { class: "figures" }, this.loss.element, this.accuracy.element),
      make("h2", {}, "Filters of the first layer"), this.filters,
      make("h2", {}, "Gradients"), this.norms,
      make("h2", {}, "Worst predictions"), this.worst);
    this.element = make("div", { class: "training" }, this.beginning, this.running);
    addEventListener("resize", () => this.later());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
    app.state?.watch?.(() => this.later());
  }

  // Controls -----------------------------------------------------------------------------------------------------

  makeBeginning() {
    const field = (text, attributes) => {
      const input = make("input", attributes);
      return [input, make("label", { class: "choice" }, make("span", {}, text), input)];
    };
    const [batch, batchLabel] = field("Images in a batch", { type: "number", min: 1, max: 4096, value: 32 });
    const [rate, rateLabel] = field("Learning rate", { type: "number", min: 0, step: "any" });
    const [fresh, freshLabel] = field("New weights", { type: "checkbox", checked: true });
    const [shuffle, shuffleLabel] = field("Shuffle the images", { type: "checkbox", checked: true });
    this.firstRate = rate;
    const begin = () => this.ask("begin", {
      batch_size: Number(batch.value), shuffle: shuffle.checked, fresh: fresh.checked,
      ...(rate.value === "" ? {} : { rate: Number(rate.value) }),
    });
    this.about = make("p", { class: "remark" });
    this.summary = make("summary", {}, "Begin a training");
    this.beginning = make("details", { open: true }, this.summary, this.about,
      make("div", { class: "controls" }, batchLabel, rateLabel, freshLabel, shuffleLabel,
        make("button", { type: "button", click: begin }, "Begin")));
  }

  makeControls() {
    const button = (text, act) => make("button", { type: "button", click: act }, text);
    this.go = button("Go on", () => this.ask("start"));
    this.pause = button("Pause", () => this.ask("pause"));
    this.one = button("One batch", () => this.ask("step"));
    this.back = button("One batch back", () => this.ask("rewind", { step: Math.max(0, this.position - 1) }));
    this.rate = make("input", { type: "number", min: 0, step: "any", keydown: (event) => event.key === "Enter" && set() });
    const set = () => this.ask("rate", { rate: Number(this.rate.value) });
    this.slider = make("input", {
      type: "range", min: 0, max: 0, step: 1, value: 0, id: "step-of-training", class: "steps-slider",
      input: () => {
        this.isSliding = true;
        this.at.textContent = this.slider.value;
      },
      change: () => {
        this.isSliding = false;
        this.ask("rewind", { step: Number(this.slider.value) });
      },
      blur: () => { this.isSliding = false; },
    });
    this.at = make("output", { class: "value", for: "step-of-training" }, "0");
    this.status = make("p", { class: "numbers" });
    this.failure = make("p", { class: "error", hidden: true });
    this.controls = make("section", { "aria-label": "Course of the training" },
      make("div", { class: "controls" }, this.go, this.pause, this.one, this.back,
        make("label", { class: "choice" }, make("span", {}, "Learning rate"), this.rate), button("Set the rate", set)),
      make("label", { class: "choice wide", for: "step-of-training" }, "Step: go back to any of them, to the bit"),
      make("div", { class: "step" }, this.slider, this.at),
      this.status, this.failure);
  }

  makeFork() {
    this.change = choice("With one change", [["rate", CHANGES.rate]], "rate", () => this.chooseChange());
    this.value = make("input", { type: "number", min: 0, step: "any", "aria-label": "Value of the change" });
    this.fork = make("button", { type: "button", click: () => this.askFork() }, "Fork");
    this.drop = make("button", { type: "button", click: () => this.ask("drop") }, "End the fork");
    this.forkStatus = make("p", { class: "numbers" });
    this.forking = make("section", { "aria-label": "Fork" }, make("div", { class: "controls" }, this.change, this.value, this.fork, this.drop), this.forkStatus);
  }

  chooseChange() {
    const change = this.change.querySelector("select").value;
    this.value.hidden = change === "batch_norm" || change === "shuffle";
    if (change === "rate") this.value.value = this.state.lanes.main.rate * 3;
    if (change === "scale") this.value.value = 3;
  }

  askFork() {
    const change = this.change.querySelector("select").value;
    const values = { batch_norm: false, shuffle: !this.state.lanes.main?.settings.shuffle };
    this.ask("fork", { change, value: change in values ? values[change] : Number(this.value.value) });
  }

  /** Give a command; what follows from it comes as events. */
  async ask(name, more = {}) {
    try {
      await this.app.api("/api/training", {
        method: "POST", body: JSON.stringify({ do: name, ...more }), headers: { "content-type": "application/json" },
      });
    } catch (error) {
      this.app.say(error.message);
    }
  }

  // What comes from the server -----------------------------------------------------------------------------------

  async load() {
    this.take(await (await this.app.api("/api/training")).json());
  }

  /** Take the state as a whole. */
  take(state) {
    this.state = state;
    for (const lane of Object.values(state.lanes)) {
      lane.batches = new Curve(lane.batches);
      lane.validation = new Curve(lane.validation);
    }
    const { defaults, lanes } = state;
    const isThere = Boolean(lanes.main);
    this.running.hidden = !isThere;
    this.beginning.open = !isThere;
    this.summary.textContent = isThere ? "Begin another training" : "Begin a training";
    this.about.textContent = defaults.images
      ? `${defaults.images} images, with ${defaults.optimizer}. The other views show its weights whenever it stands still.`
      : "There are no images to train on. Start the page with --data NAME.";
    if (document.activeElement !== this.firstRate) this.firstRate.value = defaults.rate ?? "";
    this.firstRate.disabled = defaults.rate === null;
    if (isThere) {
      const possible = Object.entries(CHANGES).filter(([name]) => state.changes[name]);
      this.change.querySelector("select").replaceChildren(...possible.map(([value, text]) => make("option", { value }, text)));
      this.chooseChange();
      this.rate.value = lanes.main.rate;
    }
    this.later();
  }

  hear(kind, content) {
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
    if (name === "main" && news.rate !== lane.rate && document.activeElement !== this.rate) this.rate.value = news.rate;
    Object.assign(lane, news);
    if (name === "main" && before !== "paused" && lane.status === "paused") {
      this.app.say(`Step ${lane.step}${lane.figures ? `: on test images loss ${short(lane.figures[0])}, accuracy ${short(lane.figures[1])}` : ""}`);
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
    this.go.disabled = isRunning || cannot;
    this.one.disabled = cannot;
    this.pause.disabled = !isRunning;
    this.back.disabled = main.step === 0;
    this.drop.hidden = !fork;
    this.slider.max = main.farthest;
    if (!this.isSliding) {
      this.slider.value = main.step;
      this.at.textContent = main.step;
    }
    this.slider.setAttribute("aria-valuetext", `step ${this.slider.value} of ${main.farthest}`);
    this.status.textContent = this.where(main);
    this.forkStatus.textContent = fork ? `Fork with ${this.state.fork}: ${this.where(fork)}` : "";
    const failed = Object.values(lanes).filter(({ failure }) => failure);
    this.failure.hidden = !failed.length;
    this.failure.textContent = failed.map(({ title, failure }) => `${title}: ${failure.layer === null ? "" : `it began in the layer ${failure.layer}. `}${failure.message}`).join(" ");
    this.loss.show(lanes, main.step);
    this.accuracy.show(lanes, main.step);
    this.filters.replaceChildren(...Object.values(lanes).map((lane) => filterPicture(lane.title, lane.filters)));
    this.norms.replaceChildren(normTable(Object.values(lanes)));
    worstList(this.app, this.worst, main.worst);
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
