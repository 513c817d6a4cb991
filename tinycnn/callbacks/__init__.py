"""Callbacks: code that runs at fixed points of a fit, with Keras's names.

Every callback starts afresh in ``on_train_begin``, so the same object may be used for any number of fits.
"""

from ..core.public import listing
from ..training.callback import Callback, History, Logs
from .backup import BackupAndRestore
from .files import CSVLogger, ModelCheckpoint
from .monitor import EarlyStopping, MonitorCallback
from .rates import LearningRateScheduler, ReduceLROnPlateau
from .simple import LambdaCallback, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
__dir__ = listing(__name__)
