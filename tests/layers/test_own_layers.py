"""A user's own layers may be as small as possible, and errors name the layer that is at fault."""

import copy
import functools

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers, load_model, losses, testing
from tinycnn.core.workspace import Workspace

X = np.random.default_rng(1).normal(size=(6, 5))
Y = np.arange(6) % 3


class Square(layers.Layer):
    def forward(self, x):
        return x * x, x

    def backward(self, dy, cache):
        return 2 * cache * dy


class Scale(layers.Layer):
    """A layer that has a parameter and takes only ``training``."""

    def create(self, input_shape, rng):
        self.add_parameter("scale", input_shape, "ones", rng)

    def forward(self, x, training):
        return x * self.params["scale"].value, (x if training else None)

    def backward(self, dy, cache):
        self.params["scale"].grad[...] = (dy * cache).sum(axis=0)
        return dy * self.params["scale"].value


class Shake(layers.Layer):
    """A layer that takes only ``step``, by position or by name."""

    def forward(self, x, step=0):
        return x * x.dtype.type(1 + step % 2), step

    def backward(self, dy, cache, ws=None):
        return dy * dy.dtype.type(1 + cache % 2)


def fitted(*own):
    tinycnn.set_seed(3)
    model = Sequential([layers.Input((5,)), layers.Dense(5), *own, layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=2, batch_size=2, verbose=0)
    return model


@pytest.mark.parametrize("kind", [Square, Scale, Shake])
def test_two_short_methods_are_a_layer(kind, tmp_path):
    testing.check_gradients(kind(), X)
    testing.assert_layer_contract(kind, (5,), backends=("reference",))
    model = fitted(kind())
    model.evaluate(X, Y, verbose=0)
    model.trace(X, Y)
    model.summary()
    model.save(tmp_path / "own")
    loaded = load_model(tmp_path / "own", {kind.__name__: kind})
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_the_short_form_trains_as_the_long_one():
    class Long(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return x * x, x

        def backward(self, dy, cache, *, ws=None):
            return 2 * cache * dy

    assert all(map(np.array_equal, fitted(Square()).get_weights(), fitted(Long()).get_weights()))


def test_keywords_that_are_taken_are_passed():
    seen = []

    class Curious(layers.Layer):
        def forward(self, x, **named):
            seen.append(sorted(named))
            return x.copy(), None

        def backward(self, dy, cache, ws):
            seen.append(isinstance(ws, Workspace))
            return dy

    fitted(Curious())
    assert seen == [["step", "training", "ws"], True] * 6


def test_subclasses_may_call_their_base():
    class Cubed(Square):
        def forward(self, x, training=False):
            y, _ = super().forward(x, training=training)
            return y * x, x

        def backward(self, dy, cache):
            return 3 * cache * cache * dy

    class Quiet(layers.Dense):
        def forward(self, x, **named):
            return super().forward(x, **named)

    class Half(Square):
        """A layer whose result has another shape than that of its base class."""

        def output_shape(self, input_shape):
            return (input_shape[0] - 1,)

        def forward(self, x):
            return super().forward(x)[0][:, 1:], x

        def backward(self, dy, cache):
            return super().backward(np.pad(dy, ((0, 0), (1, 0))), cache)

    for layer in (Square(), Cubed(), Quiet(4), Half()):
        testing.check_gradients(layer, X)
    fitted(Half())


def test_a_forward_from_elsewhere_is_a_method_too():
    class Doubled:
        def forward(self, x):
            return 2 * x, None

        def backward(self, dy, cache):
            return 2 * dy

    class Mixed(Doubled, layers.Layer):
        pass

    testing.check_gradients(Mixed(), X)
    fitted(Mixed())
    assert Doubled().forward(1) == (2, None)


def wrong(name, **methods):
    """Return a class of which one thing is wrong and all other things are right."""
    right = {"forward": lambda self, x: (x * x, x), "backward": lambda self, dy, cache: 2 * cache * dy}
    return type(name, (layers.Layer,), right | methods)


def forgetful(self):
    self.factor = 2


WRONG = {
    "one array": (wrong("Wrong", forward=lambda self, x: x * x), "forward must return two things.* one array of shape"),
    "no pair": (wrong("Wrong", forward=lambda self, x: [x * x, x]), "forward must return two things"),
    "nothing": (wrong("Wrong", forward=lambda self, x: None), "forward must return two things.* got None"),
    "three": (wrong("Wrong", forward=lambda self, x: (x, x, x)), "forward must return two things"),
    "a list": (wrong("Wrong", forward=lambda self, x: (x.tolist(), x)), "forward must return two things"),
    "too few": (wrong("Wrong", forward=lambda self, x: (x[:, :2], x)), "output_shape says .* define output_shape"),
    "no batch": (wrong("Wrong", forward=lambda self, x: (x[0], x)), "output_shape says"),
    "no dx": (wrong("Wrong", backward=lambda self, dy, cache: None), "backward must return dx.* got None"),
    "scalar dx": (wrong("Wrong", backward=lambda self, dy, cache: 1.0), r"backward must return dx.* got 1\.0"),
    "numpy scalar": (wrong("Wrong", backward=lambda self, dy, cache: dy.sum()), "backward must return dx"),
    "pair dx": (wrong("Wrong", backward=lambda self, dy, cache: (dy, cache)), "backward must return dx"),
    "dx of another shape": (
        wrong("Wrong", backward=lambda self, dy, cache: dy[:, :1]),
        "backward returned an array of",
    ),
    "call": (type("Wrong", (layers.Layer,), {"call": lambda self, x: x}), "defines call, as in Keras.* forward"),
    "Keras's build": (
        wrong("Wrong", build=lambda self, input_shape: None),
        r"build is called as build\(input_shape, rng=…, dtype=…, backend=…\).* create\(self, input_shape, rng\)",
    ),
    "add_weight": (
        wrong("Wrong", create=lambda self, input_shape, rng: self.add_weight(shape=input_shape)),
        "there is no add_weight; make parameters in create",
    ),
    "no super": (wrong("Wrong", __init__=forgetful), r"does not call super\(\)"),
    "no backward": (type("Wrong", (layers.Layer,), {"forward": lambda self, x: (x, x)}), "does not define backward"),
    "no forward": (type("Wrong", (layers.Layer,), {"backward": lambda self, dy, cache: dy}), "does not define forward"),
}
NEEDS_FORM = set(WRONG) - {"too few", "no batch", "dx of another shape"}
ERRORS = (TypeError, ValueError, AssertionError, NotImplementedError)


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_of_the_layer_that_made_it(case):
    kind, message = WRONG[case]
    for try_it in (lambda: fitted(kind()), lambda: testing.check_gradients(kind(), X)):
        with pytest.raises(ERRORS, match=rf"(?s)Wrong.*{message}") as caught:
            try_it()
        shown = "def forward(self, x): return x * x, x" in str(caught.value)
        assert shown or case not in NEEDS_FORM


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_masked_array_is_told_of_the_layer_that_made_it(method):
    kind = wrong("Wrong", **{method: lambda self, a, *cache: np.ma.array(a) if cache else (np.ma.array(a), a)})
    with pytest.raises(TypeError, match=f"Wrong 'wrong': {method} returned a MaskedArray of float"):
        fitted(kind())


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_another_dtype_is_told_of_the_layer_that_made_it(method):
    if method == "forward":
        kind = wrong("Wrong", forward=lambda self, x: (x * np.float64(2), x))
    else:
        kind = wrong("Wrong", backward=lambda self, dy, cache: dy * np.float64(2))
    with pytest.raises(TypeError, match=rf"Wrong 'wrong': {method} returned float64, but the layer works in float32"):
        fitted(kind())
    single = wrong("Wrong", **{method: lambda self, a, *cache: a.astype("float32") if cache else (a.astype("f4"), a)})
    with pytest.raises(ERRORS, match=rf"Wrong 'wrong': {method} returned float32, but the layer works in float64"):
        testing.check_gradients(single(), X)


def test_a_layer_without_backward_may_predict():
    kind, _ = WRONG["no backward"]
    model = Sequential([layers.Input((5,)), kind()])
    assert np.array_equal(model.predict(X), X.astype("float32"))


# Methods in every form that Python has


def logged(function):
    @functools.wraps(function)
    def call(*arguments, **named):
        return function(*arguments, **named)

    return call


def narrow(function):
    """A decorator that hands on no keywords."""

    @functools.wraps(function)
    def call(self, x):
        return function(self, x)

    return call


def powers(self, x, p):
    return x**p, x


class OnInstance(Square):
    def __init__(self, **base):
        super().__init__(**base)
        self.forward = lambda x: (3 * x, None)
        self.backward = lambda dy, cache: 3 * dy


FORMS = {
    "staticmethod": {"forward": staticmethod(lambda x: (x * x, x))},
    "classmethod": {"forward": classmethod(lambda cls, x: (x * x, x))},
    "partialmethod": {"forward": functools.partialmethod(powers, p=2)},
    "decorated": {"forward": logged(Square.forward)},
    "decorated, long form": {"forward": narrow(lambda self, x, *, training=False, step=0, ws=None: (x * x, x))},
    "any arguments": {"forward": lambda self, *arguments: (arguments[0] ** 2, arguments[0])},
    "positional only": {"forward": lambda self, x, /: (x * x, x)},
    "other names": {"forward": lambda self, images: (images * images, images)},
    "read-only dx": {
        "forward": lambda self, x: (x.sum(axis=1, keepdims=True) + 0 * x, None),
        "backward": lambda self, dy, cache: np.broadcast_to(dy.sum(axis=1, keepdims=True), dy.shape),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_methods_may_have_any_form(form):
    kind = wrong("Formed", **FORMS[form])
    testing.check_gradients(kind(), X)
    testing.assert_layer_contract(kind, (5,), backends=("reference",)) if form != "read-only dx" else None
    model = fitted(kind(), layers.Activation("tanh"))
    assert np.isfinite(model.predict(X)).all()


def test_methods_may_be_put_onto_the_instance():
    testing.check_gradients(OnInstance(), X)
    model = fitted(OnInstance())
    assert np.array_equal(copy.deepcopy(model).predict(X), model.predict(X))


def test_a_method_may_be_replaced_after_the_model_was_built():
    """As somebody does who corrects a layer in a notebook."""
    kind = wrong("Wrong", backward=lambda self, dy, cache: None)
    model = Sequential([layers.Input((5,)), layers.Dense(5), kind(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="Wrong 'wrong': backward must return dx"):
        model.fit(X, Y, verbose=0)
    kind.backward = lambda self, dy, cache: 2 * cache * dy
    model.fit(X, Y, verbose=0)
    kind.forward = logged(kind.forward)
    model.fit(X, Y, verbose=0)
    fitted(kind())


def test_a_subclass_sees_what_its_base_becomes():
    base = wrong("Base")
    sub = type("Sub", (base,), {})
    assert Sequential([layers.Input((5,)), sub()]).predict(X)[0, 0] == pytest.approx(X[0, 0] ** 2)
    base.forward = lambda self, x: (x + 100, x)
    assert Sequential([layers.Input((5,)), sub()]).predict(X)[0, 0] == pytest.approx(X[0, 0] + 100)


@pytest.mark.parametrize("base", [layers.Dense, layers.BatchNormalization, layers.Dropout])
@pytest.mark.parametrize("both", [True, False])
def test_a_forward_that_loses_the_cache_of_its_base(base, both):
    methods = {"forward": lambda self, x: base.forward(self, x)}
    if both:
        methods["backward"] = lambda self, dy, cache: base.backward(self, dy, cache)
    kind = type("Loses", (base,), methods)
    make = {layers.Dense: lambda: kind(4), layers.Dropout: lambda: kind(0.5)}.get(base, kind)
    with pytest.raises(TypeError, match=r"Loses 'loses': backward failed.* super\(\).forward\(x, training=training\)"):
        fitted(make())


MISTAKES = {
    "no shape": ({"output_shape": lambda self, s: None}, "Wrong.*what output_shape returns"),
    "Keras's shape": ({"output_shape": lambda self, s: (None, *s)}, "Wrong.*without the batch axis"),
    "half a shape": ({"output_shape": lambda self, s: (s[0] / 2,)}, "Wrong.*what output_shape returns"),
    "empty shape": ({"output_shape": lambda self, s: ()}, "Wrong.*what output_shape returns"),
    "no cache argument": ({"backward": lambda self, dy: dy}, r"Wrong.*backward is called as backward\(dy, cache\)"),
    "no x": ({"forward": lambda self: None}, r"Wrong.*forward is called as forward\(x\)"),
    "create": ({"create": lambda self, input_shape: None}, r"Wrong.*create is called as create\(input_shape, rng\)"),
    "misspelt": (
        {"forward": lambda self, x, is_training=False: (x, x)},
        "Wrong.*'is_training'.*did you mean 'training'",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_layer_that_cannot_be_built_is_named(case):
    methods, message = MISTAKES[case]
    for try_it in (lambda kind: fitted(kind()), lambda kind: testing.check_gradients(kind(), X)):
        with pytest.raises((TypeError, ValueError), match=rf"(?s){message}"):
            try_it(wrong("Wrong", **methods))


def test_parameters_are_made_in_create_and_returned():
    class Early(layers.Layer):
        def __init__(self, **base):
            super().__init__(**base)
            self.add_parameter("w", (5,), "ones", None)

    with pytest.raises(RuntimeError, match=r"Early: parameters and buffers are made in create"):
        Early()

    class Kept(Scale):
        def create(self, input_shape, rng):
            self.scale = self.add_parameter("scale", input_shape, "ones", rng)

    layer = Kept()
    layer.build((5,))
    assert layer.scale is layer.params["scale"]


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    class NoBase(Square):
        def __init__(self, k=2):
            super().__init__()
            self.k = k

    with pytest.raises(TypeError, match=r"NoBase cannot be saved.*take \*\*base"):
        fitted(NoBase()).save(tmp_path / "model")

    class Weighted(losses.MeanSquaredError):
        def __init__(self, k=1.0):
            super().__init__()
            self._k = k

        def get_config(self):
            return super().get_config()

    model = Sequential([layers.Input((5,)), layers.Dense(2)])
    model.compile("sgd", Weighted(5.0))
    with pytest.raises(TypeError, match=r"Weighted cannot be saved.* does not return its argument 'k'"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
