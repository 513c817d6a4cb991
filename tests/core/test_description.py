"""Classes of a user's own: the arguments of each are kept in files, or saving refuses and says which cannot be."""

import json

import numpy as np
import pytest

import tinycnn
from tinycnn import (
    Sequential,
    activations,
    callbacks,
    initializers,
    layers,
    load_model,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from tinycnn.core.description import constructor_arguments, described

X, Y = np.random.default_rng(0).random((12, 4, 4, 1)), np.arange(12) % 3


def model_with(extra=(), optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=(), **dense):
    """Return a fitted model with objects of a user's classes in some of its places."""
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((4, 4, 1)), *extra, layers.Flatten(), layers.Dense(4, **dense)])
        model.add(layers.Dense(3, activation="softmax"))
        model.compile(optimizer, loss, list(metrics))
        model.fit(X, Y, verbose=0)
    return model


class Times(losses.SparseCategoricalCrossentropy):
    def __init__(self, k=2.0, from_logits=False):
        super().__init__(from_logits)
        self.k = k

    def forward(self, y_pred, y_true, backend):
        values, cache = super().forward(y_pred, y_true, backend)
        return values * values.dtype.type(self.k), cache

    def backward(self, cache, weights, backend):
        return super().backward(cache, weights * weights.dtype.type(self.k), backend)


class TimesAlone(Times):
    """It leaves out an argument of its base, which has its default."""

    def __init__(self, k=2.0):
        super().__init__(k)


class TopOf(metrics.SparseTopKCategoricalAccuracy):
    def __init__(self, factor=1.0, **base):
        super().__init__(**base)
        self.factor = factor

    def values(self, y_true, y_pred):
        return super().values(y_true, y_pred) * self.factor


class Share(metrics.Metric):
    """Its name is fixed and no argument."""

    def __init__(self, column=0):
        super().__init__(name="share")
        self.column = column

    def values(self, y_true, y_pred):
        return y_pred[:, self.column]


class Slower(optimizers.Adam):
    def __init__(self, factor=1.0, learning_rate=0.1, **base):
        super().__init__(learning_rate, **base)
        self.factor = factor

    def update(self, value, grad, slots, rate, backend):
        super().update(value, grad, slots, rate * self.factor, backend)


class Stretched(schedules.CosineDecay):
    """A subclass of a dataclass that is none itself."""

    def __init__(self, stretch=1):
        super().__init__(0.1, 10 * stretch)
        object.__setattr__(self, "stretch", stretch)


class Plain(schedules.LearningRateSchedule):
    def __init__(self, divisor=1):
        self.divisor = divisor

    def rate(self, step):
        return 0.1 / self.divisor


class Wider(initializers.HeNormal):
    def __init__(self, factor=1.0, **base):
        super().__init__(**base)
        self.factor, self._drawn = factor, None

    def draw(self, shape, rng):
        self._drawn = super().draw(shape, rng)
        return self._drawn * self.factor


class PowerPenalty(regularizers.Regularizer):
    def __init__(self, factor=0.1, power=2):
        self.factor, self.power = factor, power

    def penalty(self, value):
        return self.factor * (abs(value) ** self.power).sum()

    def gradient(self, value):
        return self.factor * self.power * np.sign(value) * abs(value) ** (self.power - 1)


class Bent(activations.LeakyReLU):
    def __init__(self, negative_slope=0.1, bend=1):
        super().__init__(negative_slope)
        self.bend = bend


class Multiplied(layers.Layer):
    def __init__(self, k=2.0, then="linear", **base):
        super().__init__(**base)
        self.k, self.then = k, activations.get(then)

    def forward(self, x):
        return x * np.float32(self.k), None

    def backward(self, dy, cache):
        return dy * np.float32(self.k)


class Fixed(layers.Conv2D):
    """It gives its base an argument by itself, and hands on the others."""

    def __init__(self, filters, k=2, **base):
        super().__init__(filters, 3, **base)
        self.k = k


class Renamed(optimizers.Adam):
    def __init__(self, rate=0.1, **base):
        super().__init__(rate, **base)
        self.rate = rate


class Onwards(Times):
    """The class in the middle takes none of the arguments of its base that may be handed on."""

    def __init__(self, j=1, **base):
        super().__init__(**base)
        self.j = j


class Around(schedules.LearningRateSchedule):
    def __init__(self, parts=()):
        self.parts = [schedules.deserialize(part) if isinstance(part, dict) else part for part in parts]

    def rate(self, step):
        return sum(part(step) for part in self.parts)


class Handed(layers.Dense):
    """It hands on whatever it is given."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)


CUSTOM = {cls.__name__: cls for cls in list(vars().values()) if isinstance(cls, type) and cls.__module__ == __name__}
KEPT = {
    "loss": lambda: {"loss": Times(5.0)},
    "loss with a fixed base": lambda: {"loss": TimesAlone(5.0)},
    "metric": lambda: {"metrics": [TopOf(3.0, k=2)]},
    "metric with a fixed base": lambda: {"metrics": [Share(1)]},
    "optimizer": lambda: {"optimizer": Slower(0.5, clipnorm=1.0)},
    "schedule of a dataclass": lambda: {"optimizer": optimizers.SGD(Stretched(7))},
    "schedule": lambda: {"optimizer": Slower(0.5, Plain(7))},
    "initializer": lambda: {"kernel_initializer": Wider(0.5, seed=3)},
    "regularizer": lambda: {"kernel_regularizer": PowerPenalty(0.2, power=3)},
    "activation": lambda: {"activation": Bent(0.2, bend=3)},
    "layer": lambda: {"extra": [Multiplied(np.float32(0.5), then=Bent(bend=2))]},
    "layer that fixes an argument of its base": lambda: {"extra": [Fixed(2, 3, name="mine", activation="tanh")]},
    "optimizer with another name for the rate": lambda: {"optimizer": Renamed(0.5, clipnorm=1.0)},
    "loss of a loss": lambda: {"loss": Onwards(3, k=5.0)},
    "list of schedules": lambda: {"optimizer": optimizers.SGD(Around([Plain(7), schedules.Constant(0.1)]))},
    "layer that hands on": lambda: {"extra": [Handed(2, use_bias=False)]},
}


@pytest.mark.parametrize("name", KEPT)
def test_arguments_are_kept(name, tmp_path):
    model = model_with(**KEPT[name]())
    model.save(tmp_path / "model")
    with tinycnn.use_backend("reference"):
        loaded = load_model(tmp_path / "model", CUSTOM)
    assert loaded.get_config() == model.get_config()
    for part in ("optimizer", "loss"):
        assert described(getattr(loaded, part)) == described(getattr(model, part))
    for one in (model, loaded):
        one.fit(X, Y, verbose=0)
    assert loaded.evaluate(X, Y, verbose=0, return_dict=True) == model.evaluate(X, Y, verbose=0, return_dict=True)


def test_arguments_are_in_the_file_under_their_names():
    assert described(Times(5.0))["config"] == {
        "k": 5.0,
        "from_logits": False,
    }
    assert described(TopOf(3.0, k=2))["config"] == {"factor": 3.0, "k": 2, "name": "sparse_top_k_categorical_accuracy"}
    assert described(Bent(0.2, bend=3))["config"] == {"negative_slope": 0.2, "bend": 3}
    assert described(optimizers.SGD(Stretched(7)))["config"]["learning_rate"] == {
        "class_name": "Stretched",
        "config": {"stretch": 7},
    }


class Hidden(losses.SparseCategoricalCrossentropy):
    k = 2.0  # a default of the class is not the argument of this object

    def __init__(self, k=2.0):
        super().__init__()
        self._k = k


class Swallowing(losses.MeanSquaredError):
    def __init__(self, **options):
        super().__init__()
        self.options = options


class Gathering(losses.MeanSquaredError):
    def __init__(self, *factors):
        super().__init__()
        self.factors = factors


class Listing(initializers.Zeros):
    def __init__(self, *factors):
        self.factors = factors


class HandsOnItsOwn(Handed):
    """It hands on what is none of its arguments."""

    def __init__(self, k=1):
        super().__init__(3, use_bias=False)
        self.k = k

    def get_config(self):
        return {"k": self.k}


class HalfAConfig(metrics.MeanSquaredError):
    def __init__(self, k=2, **base):
        super().__init__(**base)
        self._k = k

    def get_config(self):
        return super().get_config()


class NoConfig(metrics.MeanSquaredError):
    def get_config(self):
        return None


class FixedRate(optimizers.SGD):
    def __init__(self):
        super().__init__(0.5)


class NoBase(Multiplied):
    def __init__(self, k=2):
        super().__init__(k)


class Doubling(Multiplied):
    def __init__(self, k=2, **base):
        super().__init__(2 * k, **base)


class GatheringMore(losses.SparseCategoricalCrossentropy):
    def __init__(self, *factors, from_logits=False):
        super().__init__(from_logits)
        self.factors = factors


class RawList(schedules.LearningRateSchedule):
    def __init__(self, parts=()):
        self.parts = list(parts)

    def rate(self, step):
        return 0.1


class Raw(Multiplied):
    def __init__(self, then="linear", **base):
        super().__init__(**base)
        self.then = then


def changed(thing, **attributes):
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hidden(5.0), r"Hidden: cannot be saved, .* does not keep its argument 'k'; add self\.k = k"),
        (lambda: Swallowing(k=5.0), "Swallowing cannot be saved, .* does not return its argument 'k'"),
        (lambda: Gathering(1, 2), "Gathering cannot be saved"),
        (lambda: Listing(1, 2), r"Listing cannot be saved, .* its arguments '\*factors'; .*names"),
        (lambda: HalfAConfig(5), "HalfAConfig cannot be saved, because get_config does not return its argument 'k'"),
        (lambda: NoConfig(), "NoConfig cannot be saved: get_config must return a dict; got None"),
        (lambda: changed(FixedRate(), learning_rate=0.1), "FixedRate .* does not take 'learning_rate', which is 0.1"),
        (lambda: NoBase(name="mine"), None),
        (lambda: changed(NoBase(), name="mine"), r"NoBase .* does not take 'name', .* __init__ take \*\*base"),
        (lambda: changed(NoBase(), trainable=False), "NoBase cannot be saved, .* does not take 'trainable'"),
        (lambda: Doubling(3), "Doubling cannot be saved: its argument 'k' would be 12 after loading, instead of 6"),
        (lambda: GatheringMore(1, 2), "GatheringMore cannot be saved"),
        (lambda: changed(Renamed(), learning_rate=0.2), "Renamed cannot be saved"),
        (lambda: Raw(activations.ReLU()), "Raw .* 'then' is or holds an object of ReLU, and would be 'relu'"),
        (lambda: RawList([Plain()]), r"RawList .* 'parts' is or holds an object of Plain.*schedules"),
        (lambda: Times(np.ones(2)), "JSON does not hold its argument 'k', array"),
        (lambda: Times(float("inf")), "JSON does not hold its argument 'k', inf"),
        (lambda: Times(print), "JSON does not hold its argument 'k', <built-in function print>"),
        (lambda: Times({1: 2}), r"JSON does not hold its argument 'k', \{1: 2\}"),
    ],
)
def test_what_cannot_be_kept_is_named(make, message):
    if message is None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'name'"):
            make()
        return
    with pytest.raises(TypeError, match=message):
        described(make())


@pytest.mark.parametrize("parts", [{"loss": "Hidden"}, {"extra": "Doubling"}, {"kernel_initializer": "Broken"}])
def test_nothing_is_written_if_saving_refuses(parts, tmp_path):
    class Broken(initializers.Zeros):
        def __init__(self, k=2):
            self._k = k

    made = {"Hidden": lambda: Hidden(5.0), "Doubling": lambda: [Doubling(3)], "Broken": Broken}
    model = model_with(**{place: made[name]() for place, name in parts.items()})
    with pytest.raises(TypeError, match="cannot be saved"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_a_class_hands_on_by_itself_is_no_argument():
    assert described(HandsOnItsOwn(5)) == {"class_name": "HandsOnItsOwn", "config": {"k": 5}}


def test_ones_own_get_config_decides():
    class Renamed(losses.MeanSquaredError):
        def __init__(self, factor=1.0):
            super().__init__()
            self._factor = factor

        def get_config(self):
            return super().get_config() | {"factor": self._factor}

    assert described(Renamed(3.0))["config"]["factor"] == 3.0

    class FromText(losses.MeanSquaredError):
        def __init__(self, factors=()):
            super().__init__()
            self._factors = frozenset(factors)

        def get_config(self):
            return {"text": json.dumps(sorted(self._factors))}

        @classmethod
        def from_config(cls, config):
            return cls(json.loads(config["text"]))

    assert described(FromText([2, 1]))["config"] == {"text": "[1, 2]"}


def test_backups_compare_the_arguments(tmp_path):
    def fit(loss, optimizer="sgd"):
        model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
        model.compile(optimizer, loss)
        return model.fit(X, Y, epochs=1, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])

    with tinycnn.use_backend("reference"):
        fit(Times(5.0))
        fit(Times(5.0))
        with pytest.raises(ValueError, match=r"belongs to another training: loss\.k was 5\.0 and is 2\.0"):
            fit(Times(2.0))
        with pytest.raises(TypeError, match="Hidden: cannot be saved"):
            fit(Hidden(5.0))


def test_arguments_of_tinycnns_own_classes():
    assert constructor_arguments(initializers.HeNormal) == ["seed"]
    assert set(constructor_arguments(layers.Flatten)) == {"name", "input_shape", "trainable"}
    assert constructor_arguments(losses.CategoricalCrossentropy)[:2] == ["from_logits", "label_smoothing"]
