"""Pictures of a training run: curves, mistakes by class, the images themselves, and the inside of the network.

Each function draws into the Axes that it is given, or into a new figure, and returns the Axes. ``history`` and
``saliency``, which have several panels, return an array of Axes. ``ax.figure.savefig(path)`` saves the picture. The
colours are those of Okabe & Ito ("Color universal design", 2008), and no information is given by colour alone.

>>> from tinycnn import plotting
>>> panels = plotting.history({"loss": [0.9, 0.4], "accuracy": [0.7, 0.9]})
>>> [panel.get_title() for panel in panels]
['Loss', 'Accuracy']
"""

from ..core.public import listing
from .classes import confusion_matrix, per_class_accuracy
from .curves import history
from .gradients import gradient_flow, saliency
from .images import predictions, samples_per_class
from .layers import feature_maps, filters
from .receptive import receptive_field

__all__ = [
    "confusion_matrix",
    "feature_maps",
    "filters",
    "gradient_flow",
    "history",
    "per_class_accuracy",
    "predictions",
    "receptive_field",
    "saliency",
    "samples_per_class",
]
__dir__ = listing(__name__)
