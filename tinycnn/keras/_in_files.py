"""A model in files, with Keras's arguments."""

import json
from typing import Any

from ..sequential import Sequential
from ._method_arguments import destination
from ._telling import not_so, told
from ._versions import KERAS_VERSION


class InFiles(Sequential):
    """The half of a model that is written to files and read from them."""

    def to_json(self, **dumps: Any) -> str:
        """Return the configuration, without weights, as JSON for :func:`tinycnn.keras.models.model_from_json`."""
        content = {"class_name": "Sequential", "config": self.get_config(), "keras_version": KERAS_VERSION}
        return json.dumps(content | {"backend": "tinycnn"}, **dumps)

    def save(self, filepath: Any, overwrite: bool = True, *given: Any, **other: Any) -> None:
        """Write the whole model to one safetensors file, whatever its name; only tinycnn reads it.

        Parameters
        ----------
        filepath : path
            The file.
        overwrite : bool
            False raises an error if the file exists.
        *given, **other
            ``include_optimizer``, ``save_format``, ``zipped`` and the like, which have no effect.
        """
        where = destination("save", filepath, overwrite, other)
        if where.suffix in (".h5", ".hdf5", ".keras"):
            told(
                f"save: {where.suffix} files are written in tinycnn's own format (safetensors), which tinycnn's "
                "load_model reads and Keras does not; save_weights('x.weights.h5') writes weights for Keras"
            )
        super().save(where)

    def save_weights(self, filepath: Any, overwrite: bool = True, *given: Any, **other: Any) -> None:
        """Write the weights to one file, for Keras if its name ends in ``.weights.h5``; see :meth:`save`."""
        super().save_weights(destination("save_weights", filepath, overwrite, other))

    def load_weights(self, filepath: Any, by_name: bool = False, skip_mismatch: bool = False, **other: Any) -> None:
        """Overwrite all weights with those in a file; all of them must fit."""
        for name, value in (("by_name", by_name), ("skip_mismatch", skip_mismatch)):
            if value:
                raise not_so(
                    "load_weights", name, value, "all weights must fit; use layer.set_weights for some of them"
                )
        super().load_weights(filepath, **other)
