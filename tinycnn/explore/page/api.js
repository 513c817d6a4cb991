// Talk to the server that has sent this page.

import { unpack } from "./safetensors.js";

/** Send a request with the header that only this page can send; raise an Error with the server's message. */
export async function api(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { "x-tinycnn": "1", ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Does 'tinycnn explore' still run?");
  }
  if (!answer.ok) {
    const text = await answer.text();
    let message = text.trim();
    try {
      message = JSON.parse(text).error ?? message;
    } catch {
      // It was plain text.
    }
    throw new Error(message || `the server answered ${answer.status}`);
  }
  return answer;
}

/** Ask with a JSON object. */
export function send(path, body, options = {}) {
  return api(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" }, ...options });
}

/** Return {description, arrays} of an answer with arrays. */
export async function arraysOf(answer) {
  return unpack(await (await answer).arrayBuffer());
}
