"""Optimizers with Keras 3's formulas. A kernel does a step's arithmetic; an optimizer holds its state and its rates."""

import math
from typing import Any, ClassVar, Self

import numpy as np

from . import schedules
from .core import forms
from .core.backend import Backend
from .core.checks import boolean, real
from .core.description import Described
from .core.messages import shown, unexpected
from .core.parameter import Parameter
from .core.public import listing
from .core.registry import Registry, check_form
from .core.types import Array, Config
from .kernels import aligned

__dir__ = listing(__name__)


class Optimizer(Described):
    """Base of all optimizers; every optimizer takes these arguments.

    Before a step, gradients are clipped and weights decay if these arguments ask for it. Neither changes
    ``parameter.grad``: a clipped gradient is a copy, in memory that is kept from step to step.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate. A schedule is asked for its rate at every step.
    weight_decay : float, optional
        Shrink every trained weight, including biases, independently of the gradient:
        ``w -= w * weight_decay * learning_rate``.
        Source: Loshchilov & Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
    clipnorm : float > 0, optional
        The largest norm that the gradient of one parameter may have; a longer gradient is scaled down.
    clipvalue : float > 0, optional
        The largest absolute value that an element of a gradient may have.
    global_clipnorm : float > 0, optional
        The largest norm that all gradients together may have.
        Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, section 3.2.

    Attributes
    ----------
    iterations : int
        The number of steps taken.
    slots : dict of str to list of arrays
        For each parameter, the arrays that the optimizer keeps for it (moments, velocity).

    Raises
    ------
    TypeError
        If an argument is unknown or has a wrong type.
    ValueError
        If more than one kind of clipping is asked for, or a number is out of range.
    """

    #: The names of the arrays, each of a parameter's shape, that the optimizer keeps for that parameter.
    slot_names: tuple[str, ...] = ()
    _form = forms.OPTIMIZER
    _kept_as: ClassVar = {"learning_rate": "_rate"}

    def __init__(
        self,
        learning_rate: Any,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **other: Any,
    ) -> None:
        if other:
            raise unexpected(type(self), other)
        self._rate = _checked_rate(learning_rate)
        self.weight_decay = None if weight_decay is None else real(weight_decay, "weight_decay", 0)
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        limits = {name: real(limit, name, above=0) for name, limit in limits.items() if limit is not None}
        if len(limits) > 1:
            raise ValueError(f"gradients can be clipped in one way only; got {' and '.join(limits)}. Keep one of them.")
        self.clipnorm, self.clipvalue = limits.get("clipnorm"), limits.get("clipvalue")
        self.global_clipnorm = limits.get("global_clipnorm")
        self.iterations = 0
        self.slots: dict[str, list[Array]] = {}
        self._known: dict[str, Parameter] = {}
        self._memory: Array | None = None
        self._together: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, without the memory that belongs to the original's arrays."""
        return self.__dict__ | {"_memory": None, "_together": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.slots = {key: [aligned.moved_back(slot) for slot in slots] for key, slots in self.slots.items()}

    @property
    def schedule(self) -> schedules.LearningRateSchedule | None:
        """The schedule that determines the learning rate, or None if it is a number."""
        return self._rate if isinstance(self._rate, schedules.LearningRateSchedule) else None

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. It cannot be set while a schedule determines it."""
        return self._rate if self.schedule is None else self.schedule(self.iterations)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.schedule is not None:
            raise TypeError(
                f"learning_rate is given by {type(self._rate).__name__} and cannot be set by hand as well. "
                "Make the optimizer with a number if you want to set it."
            )
        self._rate = _checked_rate(value)

    #: What Keras 2 calls the learning rate; otherwise ``optimizer.lr = 0.1`` would set what nothing reads.
    lr = learning_rate

    def step(self, parameters: dict[str, Parameter], backend: Backend) -> None:
        """Move every trainable parameter against its gradient, once.

        Parameters
        ----------
        parameters : dict of str to Parameter
            All parameters, also those that are frozen. They may have other names than in an earlier step: what the
            optimizer keeps for a parameter follows the parameter.
        backend : Backend
            The backend whose kernels do the arithmetic.

        Raises
        ------
        ValueError
            If a parameter has the name of one that the optimizer moved earlier and that is gone, or a gradient has
            another shape than its parameter.
        """
        trained = {key: parameter for key, parameter in parameters.items() if parameter.trainable}
        self.follow(parameters)
        self._known |= trained
        for key, parameter in trained.items():
            grad, value = parameter.grad, parameter.value
            if getattr(grad, "shape", None) != value.shape:
                raise ValueError(
                    f"{key}: the gradient must have its parameter's shape {value.shape}; "
                    f"got {getattr(grad, 'shape', grad)}"
                )
            if grad.dtype != value.dtype:
                raise ValueError(f"{key}: the gradient must have its parameter's dtype {value.dtype}; got {grad.dtype}")
        rate = self.learning_rate
        self.iterations += 1
        for key, parameter in trained.items():
            if key not in self.slots:
                self.slots[key] = [aligned.zeros_like(parameter.value) for _ in self.slot_names]
        if self.changes_gradients() or not self.update_together(trained, rate, backend):
            self._update_one_by_one(trained, rate, backend)

    def remember(self, parameters: dict[str, Parameter]) -> None:
        """Tie the optimizer, which holds moments, to these parameters; others with the same names are refused then.

        Raises
        ------
        ValueError
            If the name of one of them belongs to a parameter that the optimizer remembers and that is not among them.
        """
        self.follow(parameters)
        self._known |= parameters

    def follow(self, parameters: dict[str, Parameter]) -> None:
        """Keep what belongs to each parameter (``slots``) under the name that it has now: layers may be renamed.

        Raises
        ------
        ValueError
            As in :meth:`remember`; nothing is changed then.
        """
        if all(self._known.get(key) is parameter for key, parameter in parameters.items()):
            return
        self.check(parameters)
        names = {id(parameter): key for key, parameter in parameters.items()}
        now = {key: names.get(id(parameter), key) for key, parameter in self._known.items()}
        self._known = {now[key]: parameter for key, parameter in self._known.items()}
        self.slots = {now.get(key, key): slots for key, slots in self.slots.items()}

    def check(self, parameters: dict[str, Parameter]) -> None:
        """Raise a ValueError if these parameters belong to another model than the one that the optimizer remembers."""
        given = {id(parameter) for parameter in parameters.values()}
        known = (self._known.get(key, parameter) for key, parameter in parameters.items())
        if any(id(parameter) not in given for parameter in known):
            raise ValueError("the optimizer has been used by another model; make a new one")

    def changes_gradients(self) -> bool:
        """Return whether weights decay or gradients may be clipped before an update."""
        return bool(self.weight_decay) or not (self.clipnorm is self.clipvalue is self.global_clipnorm is None)

    def _update_one_by_one(self, trained: dict[str, Parameter], rate: float, backend: Backend) -> None:
        """Move the parameters one after another, and do the decay and the clipping that were asked for."""
        scale = self._global_scale(trained, backend)
        for key, parameter in trained.items():
            grad = self._clipped(parameter.grad, scale, backend)
            if self.weight_decay:
                # w -= rate * weight_decay * w is plain descent with the weights in the gradient's place.
                backend.kernels.sgd_update(parameter.value, parameter.value, None, rate * self.weight_decay, 0.0, False)
            self.update(parameter.value, grad, self.slots[key], rate, backend)

    def update_together(self, trained: dict[str, Parameter], rate: float, backend: Backend) -> bool:
        """Move all parameters at once if the optimizer and the backend can do so, and return whether they did."""
        return False

    def _all_of(self, trained: dict[str, Parameter], kind: str, backend: Backend, base: type["Optimizer"]) -> Any:
        """Return what moves all parameters in one launch, or None if an update is a user's own or arrays do not fit.

        Parameters
        ----------
        trained : dict of str to Parameter
        kind : str
            The class that does it, in a backend that has it.
        backend : Backend
        base : class
            A subclass of it with an ``update`` of its own has that run for each parameter.
        """
        fused = getattr(backend.kernels, "fused", None)
        if fused is None or type(self).update is not base.update:
            return None
        kept = ([self.slots[key][slot] for key in trained] for slot in range(len(self.slot_names)))
        arrays = [p.value for p in trained.values()], [p.grad for p in trained.values()], *kept
        if self._together is None or not self._together.holds(*arrays):
            cls = getattr(fused, kind)
            self._together = cls(*arrays) if cls.fits(*arrays) else None
        return self._together

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        """Move one parameter in place; the gradient is only read."""
        raise NotImplementedError(f"{type(self).__name__} must define update(value, grad, slots, rate, backend)")

    def _global_scale(self, trained: dict[str, Parameter], backend: Backend) -> float:
        """Return the factor that limits the norm of all gradients together to ``global_clipnorm``."""
        if self.global_clipnorm is None:
            return 1.0
        norms = [float(backend.kernels.gradient_norm(parameter.grad)) for parameter in trained.values()]
        return _shortening(math.hypot(*norms), self.global_clipnorm)

    def _clipped(self, grad: Array, scale: float, backend: Backend) -> Array:
        """Return the gradient if it is small enough, or a clipped copy that is valid until the next one is made."""
        if self.clipvalue is not None:
            return backend.kernels.clip_gradient(grad, self.clipvalue, out=self._copy_of(grad))
        if self.clipnorm is not None:
            scale = _shortening(float(backend.kernels.gradient_norm(grad)), self.clipnorm)
        if scale == 1:
            return grad
        return backend.kernels.scale_gradient(grad, scale, out=self._copy_of(grad))

    def _copy_of(self, grad: Array) -> Array:
        """Return memory for a copy of a gradient. All parameters share it, so it is as large as the largest needs."""
        if self._memory is None or self._memory.size < grad.size or self._memory.dtype != grad.dtype:
            self._memory = np.empty_like(grad).reshape(-1)
        return self._memory[: grad.size].reshape(grad.shape)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return the optimizer that :meth:`get_config` described; it has not taken a step."""
        rate = config.get("learning_rate")
        return cls(**config | ({"learning_rate": schedules.deserialize(rate)} if isinstance(rate, dict) else {}))


def _shortening(norm: float, limit: float) -> float:
    """Return what to multiply a gradient of norm ``norm`` by; NaN if the norm is not finite, so that this shows."""
    if not math.isfinite(norm):
        return math.nan
    return limit / norm if norm > limit else 1.0


class SGD(Optimizer):
    """Gradient descent, with momentum if it is asked for: ``v = momentum * v - rate * g; w += v``.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate, or a schedule that gives it at every step.
    momentum : float in [0, 1)
        The share of the velocity v that is kept from step to step. With 0 there is no velocity: ``w -= rate * g``.
    nesterov : bool
        Whether to look ahead, with Nesterov's momentum: ``w += momentum * v - rate * g``.
    **base
        ``weight_decay`` and one kind of clipping, which every optimizer takes: see :class:`Optimizer`.
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **base: Any) -> None:
        super().__init__(learning_rate, **base)
        self._momentum = real(momentum, "momentum", 0, below=1)
        self.nesterov = boolean(nesterov, "nesterov")
        self.slot_names = ("velocity",) if self.momentum else ()

    @property
    def momentum(self) -> float:
        """The momentum, which is fixed because it decides whether there is a velocity."""
        return self._momentum

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        velocity = slots[0] if slots else None
        backend.kernels.sgd_update(value, grad, velocity, rate, self.momentum, self.nesterov)

    def update_together(self, trained: dict[str, Parameter], rate: float, backend: Backend) -> bool:
        together = self._all_of(trained, "DescentTogether", backend, SGD)
        if together is not None:
            together.step(self.iterations, rate, self.momentum, self.nesterov)
        return together is not None


class RMSprop(Optimizer):
    """Gradient descent with steps that are divided by the root of a running mean of the squared gradients.

    ``s = rho * s + (1 - rho) * g**2; w -= rate * g / sqrt(s + epsilon)``. With momentum, that step u goes into a
    velocity: ``v = momentum * v + u; w -= v``.

    Source: Hinton, "Neural networks for machine learning", 2012, lecture 6e.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate, or a schedule that gives it at every step.
    rho : float in [0, 1)
        The share of the mean square s that is kept from step to step.
    momentum : float in [0, 1)
        The share of the velocity v that is kept from step to step; with 0 there is no velocity.
    epsilon : float > 0
        A small number that is added under the root, as in Keras; PyTorch adds it to the root.
    centered : bool
        Whether to divide by the root of the variance, which is s minus the square of a running mean of the gradients.
        Source: Graves, "Generating sequences with recurrent neural networks", 2013, equations 38 to 41.
    **base
        ``weight_decay`` and one kind of clipping, which every optimizer takes: see :class:`Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(learning_rate, **base)
        self.rho = real(rho, "rho", 0, below=1)
        self._momentum = real(momentum, "momentum", 0, below=1)
        self.epsilon = real(epsilon, "epsilon", above=0)
        self._centered = boolean(centered, "centered")
        optional = {"mean": self.centered, "velocity": bool(self.momentum)}
        self.slot_names = ("mean_square", *(name for name, wanted in optional.items() if wanted))

    @property
    def momentum(self) -> float:
        """The momentum, which is fixed because it decides whether there is a velocity."""
        return self._momentum

    @property
    def centered(self) -> bool:
        """Whether the variance is used, which is fixed because it decides whether there is a mean of the gradients."""
        return self._centered

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        state = dict(zip(self.slot_names, slots, strict=True))
        memories = state["mean_square"], state.get("mean"), state.get("velocity")
        backend.kernels.rmsprop_update(value, grad, *memories, rate, self.rho, self.momentum, self.epsilon)


class Adam(Optimizer):
    """Gradient descent with steps that are scaled by running moments of the gradient, with bias correction.

    ``m = beta_1 * m + (1 - beta_1) * g; v = beta_2 * v + (1 - beta_2) * g**2; w -= a * m / (sqrt(v) + epsilon)``, where
    ``a = rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` in step t, counted from 1.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate, or a schedule that gives it at every step.
    beta_1, beta_2 : float in [0, 1)
        The share of the first and of the second moment that is kept from step to step.
    epsilon : float > 0
        A small number that keeps the divisor away from 0.
    **base
        ``weight_decay`` and one kind of clipping, which every optimizer takes: see :class:`Optimizer`.
    """

    slot_names = ("m", "v")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **base: Any,
    ) -> None:
        super().__init__(learning_rate, **base)
        self.beta_1 = real(beta_1, "beta_1", 0, below=1)
        self.beta_2 = real(beta_2, "beta_2", 0, below=1)
        self.epsilon = real(epsilon, "epsilon", above=0)

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        m, v = slots
        backend.kernels.adam_update(value, grad, m, v, self.iterations, rate, self.beta_1, self.beta_2, self.epsilon)

    def update_together(self, trained: dict[str, Parameter], rate: float, backend: Backend) -> bool:
        together = self._all_of(trained, "AdamTogether", backend, Adam)
        if together is not None:
            together.step(self.iterations, rate, self.beta_1, self.beta_2, self.epsilon)
        return together is not None


class AdamW(Adam):
    """:class:`Adam` with weights that decay independently of its scaled steps.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate, or a schedule that gives it at every step.
    weight_decay : float
        The strength of the decay: see :class:`Optimizer`.
    beta_1, beta_2, epsilon
        The constants of :class:`Adam`.
    **base
        One kind of clipping: see :class:`Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **base: Any,
    ) -> None:
        # The decay must be a number and not None, because an AdamW without decay is an Adam.
        weight_decay = real(weight_decay, "weight_decay", 0)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **base)


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (SGD, RMSprop, Adam, AdamW)}


REGISTRY = Registry("optimizer", Optimizer, OPTIMIZERS, any_case=True)


def get(optimizer: Any) -> Optimizer:
    """Return an optimizer from its name (in any case), its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return REGISTRY.find(optimizer)


def _checked_rate(value: Any) -> Any:
    """Return a learning rate that is a schedule or a number from 0, or raise an error."""
    if isinstance(value, schedules.LearningRateSchedule):
        check_form(value)
        return value
    if callable(value):
        hint = "write an instance, with parentheses" if isinstance(value, type) else f"{forms.SCHEDULE.smallest}"
        raise TypeError(f"learning_rate must be a number or a schedule; got {shown(value)}; {hint}")
    return real(value, "learning_rate", 0)
