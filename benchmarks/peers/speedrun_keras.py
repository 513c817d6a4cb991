"""Keras in a speedrun, as a process: ``python speedrun_keras.py JOB SEED``; KERAS_BACKEND names the backend.

``fit`` runs the whole training, as a user of Keras would write it.
"""

import sys
import time

from speedrun_job import read_job, tell


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

    job = read_job(path)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    keras.utils.set_random_seed(seed)
    marks.append(time.perf_counter())
    x, y, x_test, y_test = (a if a.ndim == 1 else np.divide(a[..., None], 255, dtype=np.float32) for a in job.arrays())
    marks.append(time.perf_counter())
    model = keras.Sequential([keras.Input((28, 28, 1)), *map(layer_of, job.operations)])
    model.compile(keras.optimizers.Adam(Rates(job.rates)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, job.batch_size, epochs=job.epochs, verbose=0)
    marks.append(time.perf_counter())
    right = model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1) == y_test
    marks.append(time.perf_counter())
    tell(float(right.mean()), marks)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
