"""Keras on TensorFlow and on JAX, each in the fastest of the ways in which its users would write it.

The ways were measured on ``ladder_03``, ``mnist_cnn`` and ``go_crazy``. On TensorFlow, a ``tf.function`` around a
training step is as fast as ``fit`` or faster, and XLA (``jit_compile=True``) is several times slower on a processor. On
JAX, ``fit`` is as fast as a jitted step over ``stateless_call`` and ``stateless_apply``, or a little faster.
"""

import math
from itertools import cycle

ENDLESS = 10**9


def run_tensorflow(job, tick):
    """Train or predict in a ``tf.function``."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    model, optimizer, loss_function = _ready(job)
    x, y = job.data()

    @tf.function(jit_compile=False)
    def train(x, y):
        with tf.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    @tf.function(jit_compile=False)
    def predict(x, y):
        return model(x, training=False)

    step = train if job.training else predict
    for images, labels in _cycle(job, x, y, tf.constant):
        step(images, labels).numpy()
        tick()


def run_jax(job, tick):
    """Train by one endless ``fit``, or predict in a jitted function."""
    import jax
    import keras

    model, optimizer, loss_function = _ready(job)
    x, y = job.data()
    if job.training:
        clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: tick())
        model.compile(optimizer, loss_function)
        model.fit(x, y, job.batch_size, epochs=ENDLESS, verbose=0, callbacks=[clock], shuffle=False)
    trained, others = ([v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables))
    predict = jax.jit(lambda x: model.stateless_call(trained, others, x, training=False)[0])
    for images, _ in _cycle(job, x, y, jax.numpy.asarray):
        jax.device_get(predict(images))
        tick()


def run_fit(job, tick):
    """Train by one endless ``fit`` that shuffles and counts right answers, as in a tutorial."""
    import keras

    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    model, optimizer, loss_function = _ready(job)
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: tick())
    model.compile(optimizer, loss_function, metrics=["accuracy"])
    model.fit(*job.data(), job.batch_size, epochs=ENDLESS, verbose=0, callbacks=[clock])


def _cycle(job, x, y, as_tensor):
    """Repeat the batches again and again, in the framework's own memory."""
    pairs = zip(job.split(x), job.split(y), strict=True)
    return cycle([(as_tensor(images), as_tensor(labels)) for images, labels in pairs])


def _ready(job):
    """Return the model, its optimizer and its loss."""
    import keras

    keras.utils.set_random_seed(0)
    model, loss = network(job)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    return model, optimizer, loss


def network(job):
    """Return the model, and the loss for its results, which are logits in training."""
    import keras

    model = keras.Sequential([keras.Input(job.model.input_shape), *map(layer_of, job.operations)])
    job.check_parameters(sum(math.prod(variable.shape) for variable in model.trainable_variables))
    return model, keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def layer_of(operation):
    """Return the Keras layer of an operation."""
    from keras import layers

    match operation.kind:
        case "conv":
            return layers.Conv2D(operation.units, operation.size, padding=operation.padding)
        case "pool":
            return layers.MaxPooling2D(operation.size)
        case "batchnorm":
            return layers.BatchNormalization()
        case "dropout":
            return layers.Dropout(operation.rate)
        case "flatten":
            return layers.Flatten()
        case "dense":
            return layers.Dense(operation.units)
        case "relu":
            return layers.ReLU()
        case "softmax":
            return layers.Softmax()
    raise TypeError(f"the Keras peer has no counterpart for {operation.kind}")
