// Open a recording as its page does: `node recording_cases.mjs FOLDER FILE CASES`, with the page's modules in FOLDER.
// CASES holds a list of {call, arguments}, methods of a Recording; printed is {refusals, check, results}.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { write } from "./arrays_as_json.mjs";

const [folder, file, cases] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/recorded/${name}`));
const [{ opened }, { Recording }, { drawing }] = await Promise.all(["open.js", "recording.js", "drawing.js"].map(load));

async function attempt(work) {
  try {
    return { result: (await work()) ?? null };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}

const recording = new Recording(await opened(readFileSync(file, "utf8").match(/id="recording">([^<]*)</)[1]));
const calls = {
  drawing: (address, pixels) => drawing(recording, new URL(address, "http://recording"), Uint8Array.from(pixels)),
};
const check = await attempt(() => recording.check());
const results = [];
for (const { call, arguments: given } of JSON.parse(readFileSync(cases, "utf8"))) {
  results.push(await attempt(() => (calls[call] ?? recording[call].bind(recording))(...given)));
}
process.stdout.write(JSON.stringify({ refusals: recording.refusals, check, results }, write));
