"""Methods that models had in Keras 1 and 2."""

import math
from typing import Any, NoReturn

from ..callbacks import History
from ..core.checks import real
from ..core.messages import shown
from ..core.types import Array
from ..training.sequences import is_sequence
from ._method_arguments import modern
from ._telling import not_here, not_so

#: The arguments of ``fit_generator``.
_FIT = (
    *("epochs", "callbacks", "validation_data", "validation_steps", "validation_freq", "class_weight", "shuffle"),
    "initial_epoch",
)


class OldMethods:
    """The half of a ``Sequential`` that only programs for earlier versions of Keras know."""

    def fit(self, x: Any, **arguments: Any) -> History:
        """Train; the other half does it."""
        raise NotImplementedError

    def evaluate(self, x: Any, **arguments: Any) -> Any:
        """Return loss and metrics; the other half does it."""
        raise NotImplementedError

    def predict(self, x: Any, *given: Any, **arguments: Any) -> Array:
        """Return results; the other half does it."""
        raise NotImplementedError

    def fit_generator(self, generator: Any, steps_per_epoch: Any = None, epochs: int = 1, **other: Any) -> History:
        """Train on batches; ``fit`` does the same today."""
        if not hasattr(generator, "__iter__") and not is_sequence(generator):
            raise TypeError(f"generator must yield batches (x, y); got {shown(generator)}")
        verbose = other.pop("verbose", 1)
        if "samples_per_epoch" in other:
            steps_per_epoch = self._as_steps(generator, other.pop("samples_per_epoch"), "samples_per_epoch")
        if "nb_val_samples" in other:
            held_out = other.get("validation_data")
            other["validation_steps"] = self._as_steps(held_out, other.pop("nb_val_samples"), "nb_val_samples")
        given = {"epochs": epochs, **modern("fit_generator", other, _FIT)}
        if isinstance(given.get("validation_data"), tuple | list):
            given.pop("validation_steps", None)  # arrays are evaluated as a whole, as in Keras 2
        return self.fit(generator, steps_per_epoch=steps_per_epoch, verbose=verbose, **given)

    def _as_steps(self, batches: Any, samples: Any, name: str) -> int | None:
        """Return how many batches hold a number of samples, as Keras 1 counted; arrays need no such number."""
        size = getattr(batches, "batch_size", None)
        if isinstance(batches, tuple | list):
            return None
        if size is None:
            raise not_so("fit_generator", name, samples, "write the number of batches, as steps_per_epoch")
        return math.ceil(real(samples, name, above=0) / size)

    def evaluate_generator(self, generator: Any, steps: Any = None, **other: Any) -> Any:
        """Return ``[loss, *metrics]`` on batches; ``evaluate`` does the same today."""
        given = modern("evaluate_generator", other, ("val_samples", "verbose", "callbacks"))
        if "val_samples" in given:
            steps = self._as_steps(generator, given.pop("val_samples"), "val_samples")
        return self.evaluate(generator, steps=steps, **{"verbose": 0, **given})

    def predict_generator(self, generator: Any, steps: Any = None, **other: Any) -> Array:
        """Return the results for batches; ``predict`` does the same today."""
        given = modern("predict_generator", other, ("val_samples", "verbose", "callbacks"))
        if "val_samples" in given:
            steps = self._as_steps(generator, given.pop("val_samples"), "val_samples")
        return self.predict(generator, steps=steps, **given)

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Array:
        """Return the class of each image: the largest output, or whether a single output is above one half."""
        outputs = self.predict(x, batch_size, verbose)
        return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Array:
        """Return what ``predict`` returns."""
        return self.predict(x, batch_size, verbose)

    def pop(self, rebuild: bool = True) -> NoReturn:
        """Raise an error: layers can be added, not removed."""
        raise not_here("Sequential.pop", "make a new model of new layers, without the last one")

    def to_yaml(self, **dumps: Any) -> NoReturn:
        """Raise an error: Keras has given up YAML too, because reading it can execute code."""
        raise not_here("Sequential.to_yaml", "write model.to_json()")
