"""tinycnn in the way in which its users run it: ``fit`` on arrays, and ``predict``."""

from itertools import cycle

ENDLESS = 10**9


def run(job, tick):
    """Train by one endless ``fit``, without shuffling (like the peers) and without metrics, or predict batch by batch.

    ``predict`` does not search for NaN in the input, because no peer does; ``fit`` searches before the first step.
    """
    from tinycnn import callbacks

    x, y = job.data()
    if job.training:
        job.model.compile("adam", "sparse_categorical_crossentropy")
        clock = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: tick())
        job.model.fit(x, y, job.batch_size, epochs=ENDLESS, verbose=0, callbacks=[clock], shuffle=False)
    for batch in cycle(job.split(x)):
        job.model.predict(batch, check_finite=False)
        tick()
