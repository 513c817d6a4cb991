// Run the cases of test_arithmetic.py: `node arithmetic_cases.mjs FOLDER FILE`, with the modules in FOLDER.
// FILE holds a list of {call, arguments}; printed is the list of results. Arrays are {shape, dtype, base64}; numbers that
// JSON does not have are {number: "NaN"}.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { read, write } from "./arrays_as_json.mjs";

const [folder, file] = process.argv.slice(2);
const arithmetic = await import(pathToFileURL(`${folder}/index.js`));
const { asProbabilities } = await import(pathToFileURL(`${folder}/loss.js`));

/** A pass through a network and back, in one call. */
function network(description, weights, x, target) {
  const passes = arithmetic.run(description, weights, x);
  return { passes, ...arithmetic.backpropagate(description, weights, passes, target) };
}

/** A layer forward and backward, in one call. */
function layer(description, x, w, dy) {
  const kept = arithmetic.forward(description, x, w);
  return { ...kept, ...arithmetic.backward(description, x, w, kept, dy) };
}

const calls = { ...arithmetic, asProbabilities, network, layer };
const results = JSON.parse(readFileSync(file, "utf8"), read).map(({ call, arguments: given }) => {
  try {
    return { result: calls[call](...given) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
});
process.stdout.write(JSON.stringify(results, write));
