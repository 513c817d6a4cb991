// Server-sent events by fetch, because EventSource cannot send the header that the server wants.

/** How long to wait before asking again when the server does not answer, in milliseconds. */
const PATIENCE = 1000;

/**
 * Call heard(kind, content, id) for every event from a number on, for as long as the page is there; when the page is
 * hidden, nobody listens, and what has happened meanwhile is told afterwards.
 */
export async function listen(app, path, number, heard) {
  let last = number;
  let isSilent = false;
  for (;;) {
    await visible();
    const leaving = new AbortController();
    const hide = () => document.hidden && leaving.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const answer = await app.api(`${path}?after=${last}`, { signal: leaving.signal });
      isSilent = false;
      for await (const { id, kind, content } of events(answer.body)) {
        last = id;
        heard(kind, content, id);
      }
    } catch (error) {
      if (error.name !== "AbortError" && !isSilent) app.say(error.message);
      isSilent = error.name !== "AbortError";
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (!document.hidden) await new Promise((resolve) => { setTimeout(resolve, PATIENCE); });
  }
}

/** Return a promise that is kept when the page is seen. */
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
  });
}

/** Yield the events in a body. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.data) yield { id: Number(fields.id), kind: fields.event, content: JSON.parse(fields.data) };
    }
  }
}
