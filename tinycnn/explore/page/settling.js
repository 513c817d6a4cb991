// Whether batch normalization's moving averages can be trusted yet; tinycnn/explore/settling.py says what that means.

/** Return what to know about a network's answers in prediction after few batches of training, or "". */
export function unsettled({ batches, settles_after: enough }) {
  if (!batches || batches >= enough) return "";
  return `The moving averages of batch normalization come from ${batches} ${batches === 1 ? "batch" : "batches"} so far; they settle after about ${enough}. `
    + "Until then, answers as in prediction can be near chance, however well the network has learned; a pass as in training takes the statistics of a batch instead.";
}
