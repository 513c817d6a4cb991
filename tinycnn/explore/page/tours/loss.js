// From scores to probabilities to the loss, and back: p - t.

import { explainLoss, joinedActivation } from "../arithmetic/index.js";
import { number, short } from "../dom.js";
import { indexAt } from "../safetensors.js";
import { arraysAt, plain, probability, written } from "./finding.js";

export const loss = {
  async prepare(app) {
    const { network } = app;
    const { label } = app.pass.description;
    const joined = network.loss?.name === "binary_crossentropy" ? -1 : joinedActivation(network.layers, network.loss);
    const onLogits = network.loss?.from_logits && network.loss.name.endsWith("categorical_crossentropy");
    const n = joined >= 0 ? joined : network.layers.length - 1;
    if (joined < 0 && !onLogits) return "This network does not end in softmax and cross-entropy, so there is no p − t to see.";
    const layer = network.layers[n];
    const arrays = await arraysAt(app, n);
    if (!arrays.dy) return "There are no gradients in this pass.";
    const scores = joined < 0 ? arrays.y : arrays.z ?? arrays.x;
    const found = explainLoss(network.loss, scores.data, { label }, true);
    const p = found.terms.map(({ prediction }) => prediction);
    const other = p.map((_, k) => k).filter((k) => k !== label).sort((a, b) => p[b] - p[a])[0];
    return {
      n, layer, joined, label, at: written(indexAt(scores.shape, label)), other, p, scores, data: scores.data, loss: found.loss, slopes: arrays.dy.data, sum: found.terms.reduce((all, { product }) => all + product, 0),
      nameOf: (k) => network.classes[k] ?? String(k), bias: "bias" in layer.parameters, isTrue: app.pass.description.true === label,
    };
  },

  steps: [
    {
      set: ({ n, at }) => ({ view: "inside", way: "forward", layer: n, at, part: "", predict: "" }),
      look: ({ joined }) => (joined < 0 ? [".panel .value", '[data-map="after"]'] : [".panel .softmax", ".panel .steps"]),
      text: ({ layer, label, other, scores, data, nameOf, isTrue }) => [
        `${layer.parameters.kernel ? `${layer.name} gives each class a score` : `What comes into ${layer.name} is a score for each class`}. A score can be any number; the larger it is, the surer the network is of the class. ${nameOf(label)}, ${isTrue ? "the true class" : "the class that was chosen"}, has ${number(scores.data[label], data, true)}; the best of the others, ${nameOf(other)}, has ${number(scores.data[other], data, true)}.`,
        "Only differences of scores count: if all of them were larger by 5, the answer would be the same.",
      ],
    },
    {
      set: ({ n, at }) => ({ view: "inside", way: "forward", layer: n, at, part: "", predict: "" }),
      look: ({ joined }) => (joined < 0 ? [".answer", ".panel .value"] : [".panel .softmax", ".panel .steps"]),
      text: ({ p, label, other, nameOf, joined }) => [
        `Softmax turns the scores into probabilities: exp(score), divided by the sum of exp(score) over all classes. So all are above 0, and together they are 1. ${nameOf(label)} gets ${probability(p[label])}, and ${nameOf(other)} gets ${probability(p[other])}.`,
        joined < 0 ? "In this network the loss does that itself, so the result of the last layer is the scores." : "The table \"softmax\" has the exponentials of all classes. The largest score is subtracted first, so that exp cannot become too large.",
      ],
    },
    {
      set: ({ n, at }) => ({ view: "inside", way: "forward", layer: n, at, part: "", predict: "" }),
      look: () => [".answer"],
      text: ({ p, label, loss: value }) => [
        `The loss is −log of the probability of that class: −log ${probability(p[label])} = ${plain(value)}.`,
        "It is 0 if that probability is 1, and grows without limit as it goes to 0: being sure and wrong costs most.",
      ],
    },
    {
      set: ({ n, label, bias, at }) => ({
        view: "inside", way: "backward", layer: n, part: "", predict: "", ...(bias ? { at: "", weight: `bias:${label}` } : { at }),
      }),
      look: ({ bias }) => (bias ? [".weights .value", ".weights .terms"] : [".panel .value", '[data-map="before"]', ".panel .terms"]),
      text: ({ p, slopes, label, other, nameOf, bias }) => [
        `Now backward. The gradient of the loss by each score is very simple: p − t, where p is the probability of the class, and t is 1 for the class that is wanted and 0 for all others. For ${nameOf(label)} that is ${probability(p[label])} − 1 = −${plain(Math.abs(slopes[label]))}, and for ${nameOf(other)} it is ${probability(p[other])} − 0 = ${plain(slopes[other])}.`,
        bias ? "It is also the gradient of the bias, because the bias is added to the score: see \"The gradient of a parameter\"." : "See dx under \"The terms that this gradient collects\".",
      ],
    },
    {
      set: ({ n }) => ({ view: "inside", way: "backward", layer: n, part: "", predict: "" }),
      look: () => ['[data-map="after"]', ".panel .value"],
      text: ({ sum, label, nameOf }) => [
        `A negative gradient says that a larger score makes the loss smaller. So a step of training raises the score of ${nameOf(label)} and lowers all others, each in proportion to how wrong the network was about it. Together the p − t are ${Math.abs(sum) < 1e-6 ? "0" : short(sum)}.`,
        "A network that is sure and right has p = t: then all of this is 0, and it learns nothing from this image any more.",
      ],
    },
  ],
};
