"""Which Keras this room follows."""

from ..core.version import __version__

#: The version of Keras whose interface is followed, and of the program that runs (as in PEP 440's local versions).
KERAS_VERSION = f"3.15.1+tinycnn.{__version__}"
