"""tinycnn in the ways in which its users run it: ``fit`` on arrays, ``predict``, and a predictor."""

from itertools import cycle

ENDLESS = 10**9


def run(job, tick, *, frozen=False, everyday=False):
    """Train by one endless ``fit``, without shuffling (like the peers) and without metrics, or predict batch by batch.

    Predictions do not search for NaN in the input, because no peer does; ``fit`` searches before the first step. With
    ``frozen`` they come from a predictor that is made before the first one. With ``everyday``, ``fit`` shuffles and
    counts right answers, as in a tutorial.
    """
    from tinycnn import callbacks

    x, y = job.data()
    if job.training:
        job.model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"] if everyday else [])
        clock = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: tick())
        job.model.fit(x, y, job.batch_size, epochs=ENDLESS, verbose=0, callbacks=[clock], shuffle=everyday)
    predict = job.model.predictor() if frozen else job.model.predict
    for batch in cycle(job.split(x)):
        predict(batch, check_finite=False)
        tick()
