"""Keras in a speedrun, as a process: ``python speedrun_keras.py JOB SEED``; KERAS_BACKEND names the backend.

``fit`` runs the whole training; on TensorFlow, a loop over a ``tf.function`` takes as long.
"""

import json
import sys
import time
from types import SimpleNamespace


def main(path, seed):
    """Train by the job in a file, and print the outcome as a line of JSON."""
    marks = [time.perf_counter()]
    import keras
    import numpy as np
    from on_keras import layer_of

    class Rates(keras.optimizers.schedules.LearningRateSchedule):
        """The rate of each step, from a list."""

        def __init__(self, rates):
            self.rates = keras.ops.convert_to_tensor(rates, "float32")

        def __call__(self, step):
            return keras.ops.take(self.rates, keras.ops.cast(step, "int32"))

    with open(path, encoding="utf-8") as file:
        job = SimpleNamespace(**json.load(file))
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    keras.utils.set_random_seed(seed)
    marks.append(time.perf_counter())
    arrays = [np.load(f"{job.folder}/{name}.npy") for name in ("x", "y", "x_test", "y_test")]
    x, y, x_test, y_test = (a if a.ndim == 1 else np.divide(a[..., None], 255, dtype=np.float32) for a in arrays)
    marks.append(time.perf_counter())
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), *(layer_of(SimpleNamespace(**operation)) for operation in job.operations[:-1])]
    )
    model.compile(keras.optimizers.Adam(Rates(job.rates)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, job.batch_size, epochs=job.epochs, verbose=0)
    marks.append(time.perf_counter())
    right = model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1) == y_test
    marks.append(time.perf_counter())
    parts = ("imports", "images", "training", "test")
    seconds = {part: round(end - begin, 3) for part, begin, end in zip(parts, marks, marks[1:], strict=False)}
    print(json.dumps({"accuracy": float(right.mean()), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
