"""Chapter 7: batch-norm's backward."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...kernels.reference import batchnorm as kernels
from ..bugs.chapter07 import broken_batchnorm_dx
from ..cases import Fill, phases_with_hard_cases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result

IMAGES = ("N", "H", "W", "C")
#: Some are large, so that it shows where epsilon stands.
EPSILONS = (0.001, 0.25, 1.0)


def _images(*numbers: float, channels: int = 1, count: int = 1) -> Array:
    """Return ``count`` images of one row."""
    return np.array(numbers, float).reshape(count, 1, -1, channels)


#: Images that are hard for a batch normalization, the easiest to read first.
HARD: tuple[Array, ...] = (
    _images(1, 3),
    _images(1, 3, count=2),
    _images(5),
    _images(2, 2, 2, 2, count=2),
    _images(1, 7, 3, 7, channels=2, count=2),
    _images(1, 2, 5, -4, channels=2),
    _images(1, 2, 3, 6, 5, 4, count=3),
    _images(100001, 100002, 100005),
)


def _pattern(shape: tuple[int, ...], start: int) -> Array:
    """Return whole numbers that are all different, and whose sum is not 0."""
    count = int(np.prod(shape))
    signs = np.where(np.arange(count) % 3 == 1, -1.0, 1.0)
    return ((start + np.arange(count)) * signs).reshape(shape)


def _size(draw: st.DrawFn) -> tuple[int, int, int, int]:
    small = st.integers(1, 2)
    return draw(st.integers(1, 3)), draw(small), draw(small), draw(small)


# The forward pass ------------------------------------------------------------------------------------------------


def right_forward(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Return the result, mean and variance by the reference kernel."""
    y, mean, variance = kernels.batch_norm_forward(x, gamma, beta, epsilon)
    return y, mean, variance


def _hard_forward() -> list[dict[str, Any]]:
    return [
        {"x": x, "gamma": _pattern((x.shape[3],), 2), "beta": _pattern((x.shape[3],), 5), "epsilon": 1.0} for x in HARD
    ]


def _forward(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    x, gamma, beta = fill("x", size), fill("gamma", size[3:]), fill("beta", size[3:])
    return {"x": x, "gamma": gamma, "beta": beta, "epsilon": draw(st.sampled_from(EPSILONS))}


def _by(
    axes: tuple[int, ...] = (0, 1, 2),
    *,
    keep: bool = False,
    divisor: Callable[[Array, float], Array] = lambda variance, epsilon: np.sqrt(variance + epsilon),
    spread: Callable[[Array, Array, tuple[int, ...]], Array] = lambda x, mean, axes: ((x - mean) ** 2).mean(
        axes, keepdims=True
    ),
) -> Callable[..., Any]:
    """Return a mistake: mean and variance are taken over other axes, or in another way.

    Parameters
    ----------
    axes : tuple of int
    keep : bool
        Whether the mean and the variance that are returned keep their axes of length 1.
    divisor : callable
        What the deviations are divided by, given the variance and epsilon.
    spread : callable
        What is taken for the variance, given x, the mean and the axes.
    """

    def results(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
        mean = x.mean(axes, keepdims=True)
        variance = spread(x, mean, axes)
        y = gamma * (x - mean) / divisor(variance, epsilon) + beta
        return (y, mean, variance) if keep else (y, mean.squeeze(axes), variance.squeeze(axes))

    return results


def _broadcast(axes: tuple[int, ...], own: bool) -> Callable[..., Any]:
    """Return a mistake: mean and variance are taken over other axes, and meet the channels by NumPy's rules.

    Parameters
    ----------
    axes : tuple of int
    own : bool
        Whether the variance is computed from that mean, by the same rules, and not by ``np.var``.
    """

    def results(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
        mean = x.mean(axes)
        variance = ((x - mean) ** 2).mean(axes) if own else x.var(axes)
        return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance

    return results


def _changed(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mistake: the right results and the arguments are put together in another way."""
    return lambda **a: change(*right_forward(**a), **a)


def _sample_variance(x: Array, mean: Array, axes: tuple[int, ...]) -> Array:
    count = np.prod([x.shape[axis] for axis in axes])
    return np.divide(((x - mean) ** 2).sum(axes, keepdims=True), count - 1)


FORWARD = Exercise(
    name="batchnorm_forward",
    right=right_forward,
    results=(
        Result("y", IMAGES, computed_from=("mean", "variance")),
        Result("mean", ("C",)),
        Result("variance", ("C",)),
    ),
    phases=phases_with_hard_cases(_hard_forward(), _forward),
    misreadings=(
        Misreading(
            "Are the mean and the variance those of each pixel, over the batch (axis N) only? They are taken over the "
            "axes N, H and W, so that each channel has one.",
            _by((0,)),
        ),
        Misreading(
            "Are they those of each image, over the axes H and W only? They are taken over the batch (axis N) too.",
            _by((1, 2)),
        ),
        *(
            Misreading(sentence, _broadcast(axes, own))
            for own in (False, True)
            for sentence, axes in (
                (
                    "Are they those of each image, over the axes H and W only? They are taken over the batch (axis N) "
                    "too.",
                    (1, 2),
                ),
                (
                    "Are they taken over the axes 0, 2 and 3, as if the channels were axis 1? The axes are "
                    "(N, H, W, C): take axis=(0, 1, 2).",
                    (0, 2, 3),
                ),
            )
        ),
        Misreading(
            "Is one mean taken over all channels (axis C)? Each channel has a mean and a variance of its own.",
            _by((0, 1, 2, 3)),
        ),
        Misreading(
            "Is it the mean over the channels (axis C)? Each channel has its own: the axes are N, H and W.", _by((3,))
        ),
        Misreading(
            "Are axes of length 1 kept? The mean and the variance have the shape (C,): leave keepdims out.",
            _by(keep=True),
        ),
        Misreading(
            "Is epsilon added to the root? It is added to the variance: sqrt(variance + epsilon).",
            _by(divisor=lambda variance, epsilon: np.sqrt(variance) + epsilon),
        ),
        Misreading(
            "Is epsilon left out? It is added to the variance, so that nothing is divided by 0.",
            _by(divisor=lambda variance, epsilon: np.sqrt(variance)),
        ),
        Misreading(
            "Are parentheses missing around the root and epsilon? Besides, epsilon is added to the variance, inside.",
            lambda x, gamma, beta, epsilon: (
                gamma * (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)) + epsilon + beta,
                *right_forward(x, gamma, beta, epsilon)[1:],
            ),
        ),
        Misreading(
            "Is the root left out? The deviations are divided by sqrt(variance + epsilon).",
            _by(divisor=lambda variance, epsilon: variance + epsilon),
        ),
        Misreading(
            "Is the variance divided by M - 1? Here it is the mean of the squared deviations: divide by M = N * H * W.",
            _by(spread=_sample_variance),
        ),
        Misreading(
            "Is the variance the mean of the squares minus the square of the mean? For large numbers that loses most "
            "digits; subtract the mean first, then square.",
            _by(spread=lambda x, mean, axes: (x * x).mean(axes, keepdims=True) - mean * mean),
        ),
        Misreading(
            "Is the standard deviation returned in place of the variance?",
            _changed(lambda y, mean, variance, **a: (y, mean, np.sqrt(variance))),
        ),
        Misreading(
            "Does the variance that is returned contain epsilon? Return that of the batch alone.",
            _changed(lambda y, mean, variance, epsilon, **a: (y, mean, variance + epsilon)),
        ),
        Misreading(
            "Are the results in another order? They are y, mean, variance.",
            _changed(lambda y, mean, variance, **a: (y, variance, mean)),
        ),
        Misreading(
            "Is beta left out? It is added to each element of its channel.",
            _changed(lambda y, mean, variance, beta, **a: (y - beta, mean, variance)),
        ),
        Misreading(
            "Is gamma left out? Each channel is multiplied by its gamma.",
            lambda gamma, **a: right_forward(gamma=np.ones_like(gamma), **a),
        ),
        Misreading(
            "Are gamma and beta swapped? gamma scales, beta shifts.",
            lambda gamma, beta, **a: right_forward(gamma=beta, beta=gamma, **a),
        ),
        Misreading(
            "Is beta multiplied by gamma too? It is added last.",
            lambda gamma, beta, **a: right_forward(gamma=gamma, beta=gamma * beta, **a),
        ),
        Misreading(
            "Is the mean not subtracted? xhat is (x - mean) / sqrt(variance + epsilon).",
            _changed(
                lambda y, mean, variance, gamma, epsilon, **a: (
                    y + gamma * mean / np.sqrt(variance + epsilon),
                    mean,
                    variance,
                )
            ),
        ),
    ),
    hints=(
        "Each channel has one mean, over N * H * W numbers. Which axes are these, and what is the shape of the result?",
        "x.mean(axis=(0, 1, 2)) has the shape (C,), and x - mean then subtracts from each channel its own.",
        "variance = ((x - mean) ** 2).mean(axis=(0, 1, 2)); y = gamma * xhat + beta, with xhat as the page has it.",
    ),
    minutes=25,
)


# Training and inference ------------------------------------------------------------------------------------------


def _moved(moving: Array, batch: Array, momentum: float) -> Array:
    moving = moving.copy()
    kernels.move_average(moving, batch, momentum)
    return moving


def right_layer(
    x: Array,
    gamma: Array,
    beta: Array,
    moving_mean: Array,
    moving_variance: Array,
    momentum: float,
    epsilon: float,
    training: bool,
) -> tuple[Array, Array, Array]:
    """Return the result and the moving averages by the reference kernels."""
    if not training:
        y = kernels.batch_norm_inference_forward(x, gamma, beta, moving_mean, moving_variance, epsilon)
        return y, moving_mean, moving_variance
    y, mean, variance = right_forward(x, gamma, beta, epsilon)
    return y, _moved(moving_mean, mean, momentum), _moved(moving_variance, variance, momentum)


def _layer_arguments(x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> dict[str, Any]:
    return {"x": x, "gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}


def _hard_layer() -> list[dict[str, Any]]:
    found = []
    for x, training, momentum in (
        (HARD[0], False, 0.75),
        (HARD[0], True, 0.75),
        (HARD[1], True, 0.99),
        (HARD[2], False, 0.0),
        (HARD[2], True, 1.0),
        (HARD[4], False, 0.75),
        (HARD[4], True, 0.0),
    ):
        channels = (x.shape[3],)
        numbers = (_pattern(channels, 2), _pattern(channels, 5), _pattern(channels, 4), 3 + abs(_pattern(channels, 5)))
        found.append(_layer_arguments(x, *numbers) | {"momentum": momentum, "epsilon": 1.0, "training": training})
    return found


def _layer(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = (fill(name, size[3:]) for name in names)
    arguments = _layer_arguments(fill("x", size), gamma, beta, mean, abs(variance))
    training = draw(st.booleans())
    momentum, epsilon = draw(st.sampled_from((0.75, 0.9, 0.0, 1.0))), draw(st.sampled_from(EPSILONS))
    return arguments | {"momentum": momentum, "epsilon": epsilon, "training": training}


def _moving(change: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """Return a mistake in the averages of a training call, given the old ones, those of the batch and the rest."""

    def results(**a: Any) -> tuple[Array, Array, Array]:
        y, new_mean, new_variance = right_layer(**a)
        if a["training"]:
            _, mean, variance = right_forward(a["x"], a["gamma"], a["beta"], a["epsilon"])
            new_mean, new_variance = change(a["moving_mean"], a["moving_variance"], mean, variance, a)
        return y, new_mean, new_variance

    return results


def _updated_always(**a: Any) -> tuple[Array, Array, Array]:
    _, new_mean, new_variance = right_layer(**a | {"training": True})
    return right_layer(**a)[0], new_mean, new_variance


def _normalized_by_new(**a: Any) -> tuple[Array, Array, Array]:
    """Return results in which training normalizes by the averages after their update."""
    y, mean, variance = right_layer(**a)
    if a["training"]:
        y = kernels.batch_norm_inference_forward(a["x"], a["gamma"], a["beta"], mean, variance, a["epsilon"])
    return y, mean, variance


def _by_moving(**a: Any) -> tuple[Array, Array, Array]:
    """Return results in which training normalizes by the averages before their update."""
    return right_layer(**a | {"training": False})[0], *right_layer(**a)[1:]


def _sample_average(old_mean: Array, old_variance: Array, mean: Array, variance: Array, a: dict[str, Any]) -> Any:
    M = a["x"].size // len(mean)
    share = a["momentum"]
    return _moved(old_mean, mean, share), _moved(old_variance, np.divide(variance * M, M - 1), share)


LAYER = Exercise(
    name="batchnorm_layer",
    right=right_layer,
    results=(Result("y", IMAGES), Result("moving_mean", ("C",)), Result("moving_variance", ("C",))),
    phases=phases_with_hard_cases(_hard_layer(), _layer),
    misreadings=(
        Misreading(
            "Is the batch's own mean used at inference (training=False)? There, the moving averages are used, so that "
            "a result does not depend on the other images.",
            lambda **a: (right_layer(**a | {"training": True})[0], *right_layer(**a)[1:]),
        ),
        Misreading(
            "Are the moving averages updated at inference (training=False)? They must stay what they are.",
            _updated_always,
        ),
        Misreading(
            "Is training ignored? Without it, the moving averages are used, and stay what they are.",
            lambda **a: right_layer(**a | {"training": True}),
        ),
        Misreading(
            "Is the momentum the share of the batch? It is the share of the old average that is kept.",
            lambda momentum, **a: right_layer(momentum=1 - momentum, **a),
        ),
        Misreading("Is training normalized by the moving averages? There, the batch's own are used.", _by_moving),
        Misreading(
            "Is training normalized by the new averages? There, the batch's own mean and variance are used.",
            _normalized_by_new,
        ),
        Misreading(
            "Are the moving averages not updated in training (training=True)?",
            _moving(lambda old_mean, old_variance, mean, variance, a: (old_mean, old_variance)),
        ),
        Misreading(
            "Is only the mean updated? The moving variance moves in the same way.",
            _moving(
                lambda old_mean, old_variance, mean, variance, a: (_moved(old_mean, mean, a["momentum"]), old_variance)
            ),
        ),
        Misreading(
            "Are the moving averages replaced by those of the batch? They keep the share momentum.",
            _moving(lambda old_mean, old_variance, mean, variance, a: (mean, variance)),
        ),
        Misreading(
            "Does the moving variance get the standard deviation? It is an average of variances.",
            _moving(
                lambda old_mean, old_variance, mean, variance, a: (
                    _moved(old_mean, mean, a["momentum"]),
                    _moved(old_variance, np.sqrt(variance), a["momentum"]),
                )
            ),
        ),
        Misreading(
            "Is the average a sum? The batch has the share 1 - momentum.",
            _moving(
                lambda old_mean, old_variance, mean, variance, a: (
                    a["momentum"] * old_mean + mean,
                    a["momentum"] * old_variance + variance,
                )
            ),
        ),
        Misreading(
            "Is the variance of the batch divided by M - 1 before it is averaged? Use that of the forward pass.",
            _moving(_sample_average),
        ),
        Misreading(
            "Does the moving variance contain epsilon? It is added when the root is taken, and only then.",
            _moving(
                lambda old_mean, old_variance, mean, variance, a: (
                    _moved(old_mean, mean, a["momentum"]),
                    _moved(old_variance, variance + a["epsilon"], a["momentum"]),
                )
            ),
        ),
    ),
    hints=(
        "There are two cases. Which mean and variance normalize the images in each, and which averages are returned?",
        "In training, call batchnorm_forward; its mean and variance move the averages. Otherwise nothing moves.",
        "new_mean = momentum * moving_mean + (1 - momentum) * mean: a new array, because += would change the argument.",
    ),
    minutes=20,
)


# The backward pass -----------------------------------------------------------------------------------------------


def right_parameters(dy: Array, x: Array, mean: Array, variance: Array, epsilon: float) -> tuple[Array, Array]:
    """Return the gradients with respect to gamma and beta, by the reference kernel."""
    _, dgamma, dbeta = kernels.parameter_gradients(dy, x, mean, variance, epsilon)
    return dgamma, dbeta


def _backward_arguments(dy: Array, x: Array, epsilon: float, gamma: Array | None) -> dict[str, Any]:
    """Return the arguments of a backward pass, with the mean and the variance of x."""
    mean = x.mean(axis=(0, 1, 2))
    variance = np.square(x - mean).mean(axis=(0, 1, 2))
    arguments = {"dy": dy, "x": x} | ({} if gamma is None else {"gamma": gamma})
    return arguments | {"mean": mean, "variance": variance, "epsilon": epsilon}


def _hard_backward(with_gamma: bool) -> list[dict[str, Any]]:
    gamma = [_pattern((x.shape[3],), 2) if with_gamma else None for x in HARD]
    return [_backward_arguments(_pattern(x.shape, 3), x, 1.0, g) for x, g in zip(HARD, gamma, strict=True)]


def _backward(with_gamma: bool) -> Callable[[st.DrawFn, Fill], dict[str, Any]]:
    def make(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
        size = _size(draw)
        dy, x = fill("dy", size), fill("x", size)
        gamma = fill("gamma", size[3:]) if with_gamma else None
        return _backward_arguments(dy, x, draw(st.sampled_from(EPSILONS)), gamma)

    return make


def _summed(axes: tuple[int, ...]) -> Callable[..., Any]:
    """Return a mistake: the sums run over other axes."""

    def results(dy: Array, x: Array, mean: Array, variance: Array, epsilon: float) -> Any:
        xhat = kernels.normalise(x, mean, variance, epsilon)
        return (dy * xhat).sum(axis=axes), dy.sum(axis=axes)

    return results


def _first_image(dy: Array, x: Array, **a: Any) -> Any:
    return right_parameters(dy=dy[:1], x=x[:1], **a)


def _divided(count: Callable[[Array], float]) -> Callable[..., Any]:
    """Return a mistake: the sums are divided by a number."""
    return lambda dy, **a: right_parameters(dy=dy / count(dy), **a)


def _scaled(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mistake: dgamma is multiplied by something that the variance and epsilon give."""

    def results(dy: Array, x: Array, mean: Array, variance: Array, epsilon: float) -> Any:
        dgamma, dbeta = right_parameters(dy, x, mean, variance, epsilon)
        return dgamma * np.sqrt(variance + epsilon) / change(variance, epsilon), dbeta

    return results


PARAMETERS = Exercise(
    name="batchnorm_dgamma_dbeta",
    right=right_parameters,
    results=(Result("dgamma", ("C",)), Result("dbeta", ("C",))),
    phases=phases_with_hard_cases(_hard_backward(False), _backward(False)),
    misreadings=(
        Misreading(
            "Is dgamma the sum of dy * x? gamma was multiplied by xhat, the normalized x.",
            lambda dy, x, **a: ((dy * x).sum(axis=(0, 1, 2)), right_parameters(dy=dy, x=x, **a)[1]),
        ),
        Misreading(
            "Is the mean not subtracted in xhat? It is (x - mean) / sqrt(variance + epsilon).",
            lambda mean, **a: right_parameters(mean=0 * mean, **a),
        ),
        Misreading(
            "Is x only shifted in dgamma? gamma was multiplied by (x - mean) / sqrt(variance + epsilon).",
            _scaled(lambda variance, epsilon: 1.0),
        ),
        Misreading(
            "Is epsilon left out of xhat? It is added to the variance.",
            _scaled(lambda variance, epsilon: np.sqrt(variance)),
        ),
        Misreading(
            "Is epsilon added to the root? It is added to the variance: sqrt(variance + epsilon).",
            _scaled(lambda variance, epsilon: np.sqrt(variance) + epsilon),
        ),
        Misreading(
            "Is the root left out of xhat? It is divided by sqrt(variance + epsilon).",
            _scaled(lambda variance, epsilon: variance + epsilon),
        ),
        Misreading(
            "Are dgamma and dbeta swapped? The results are in the order dgamma, dbeta.",
            lambda **a: right_parameters(**a)[::-1],
        ),
        Misreading(
            "Are these means over N, H and W? A gradient is a sum; the loss has divided by N already.",
            _divided(lambda dy: dy[..., 0].size),
        ),
        Misreading("Are the sums divided by N? The loss has done that already.", _divided(len)),
        Misreading("Is the sum over the batch (axis N) only? It runs over H and W too.", _summed((0,))),
        Misreading("Is the sum over the positions (axes H and W) only? It runs over the images too.", _summed((1, 2))),
        Misreading(
            "Are the channels (axis C) added up too? Each channel has its own gamma and beta.", _summed((0, 1, 2, 3))
        ),
        Misreading("Is only the first image used? The sums run over all N images (axis N).", _first_image),
        Misreading("Is the sign wrong?", lambda dy, **a: right_parameters(dy=-dy, **a)),
    ),
    hints=(
        "y = gamma * xhat + beta. If gamma[c] grows by a small number, by how much does y[n,i,j,c] grow?",
        "Each y of the channel grows by xhat times that number, the loss by dy * xhat; these add up over n, i and j.",
        "xhat = (x - mean) / np.sqrt(variance + epsilon); the sums are over axis=(0, 1, 2), of dy * xhat and of dy.",
    ),
    minutes=15,
)


def right_dx(dy: Array, x: Array, gamma: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """Return the gradient with respect to the images, by the reference kernel."""
    dx: Array = kernels.batch_norm_backward(dy, x, gamma, mean, variance, epsilon)[0]
    return dx


def _terms(
    *,
    shift: float = 1.0,
    scale: float = 1.0,
    count: Callable[[Array], float] = lambda dy: dy[..., 0].size,
    over: tuple[int, ...] = (0, 1, 2),
    std: Callable[[Array, float], Array] = lambda variance, epsilon: np.sqrt(variance + epsilon),
    front: Callable[[Array, Array], Array] = lambda gamma, std: gamma / std,
    third: Callable[[Array, Array], Array] = lambda deviation, std: deviation / std,
    swapped: bool = False,
    everywhere: bool = False,
) -> Callable[..., Array]:
    """Return a mistake in the formula of dx.

    Parameters
    ----------
    shift, scale : float
        Factors of the terms that come through the mean and through the variance.
    count : callable
        What is taken for M, given dy.
    over : tuple of int
        The axes of the sums.
    std : callable
        What is taken for the standard deviation, given the variance and epsilon.
    front : callable
        The factor of everything, given gamma and that deviation.
    third : callable
        The factor of dgamma in the third term, given x - mean and that deviation.
    swapped : bool
        Whether dgamma and dbeta stand in each other's places.
    everywhere : bool
        Whether dgamma, too, has that deviation.
    """

    def results(dy: Array, x: Array, gamma: Array, mean: Array, variance: Array, epsilon: float) -> Array:
        deviation, root = x - mean, std(variance, epsilon)
        dbeta = dy.sum(axis=over, keepdims=True)
        by = root if everywhere else np.sqrt(variance + epsilon)
        dgamma = (dy * deviation / by).sum(axis=over, keepdims=True)
        if swapped:
            dbeta, dgamma = dgamma, dbeta
        M = count(dy)
        inner: Array = dy - shift * dbeta / M - scale * third(deviation, root) * dgamma / M
        return front(gamma, root) * inner

    return results


DX = Exercise(
    name="batchnorm_dx",
    right=right_dx,
    results=(Result("dx", IMAGES),),
    phases=phases_with_hard_cases(_hard_backward(True), _backward(True)),
    misreadings=(
        Misreading(
            "Are the mean and the variance taken for constants? They depend on x: subtract dbeta / M and "
            "xhat * dgamma / M from dy.",
            _terms(shift=0, scale=0),
        ),
        Misreading("Is the term that comes through the variance left out, - xhat * dgamma / M?", _terms(scale=0)),
        Misreading("Is the term that comes through the mean left out, - dbeta / M?", _terms(shift=0)),
        Misreading(
            "Is the term through the variance added? It is subtracted, like that through the mean.", _terms(scale=-1)
        ),
        Misreading("Is the term through the mean added? It is subtracted.", _terms(shift=-1)),
        Misreading("Are dgamma and dbeta swapped? batchnorm_dgamma_dbeta returns dgamma first.", _terms(swapped=True)),
        Misreading(
            "Is everything multiplied by gamma twice? It stands before the bracket, once.",
            _terms(front=lambda gamma, std: gamma**2 / std),
        ),
        Misreading(
            "Is epsilon left out before the bracket? It is gamma / sqrt(variance + epsilon).",
            lambda variance, epsilon, **a: (
                right_dx(variance=variance, epsilon=epsilon, **a) * np.sqrt(variance + epsilon) / np.sqrt(variance)
            ),
        ),
        Misreading("Is gamma left out? dy reaches xhat times gamma.", _terms(front=lambda gamma, std: 1 / std)),
        Misreading(
            "Is the division by sqrt(variance + epsilon) left out? It stands before the bracket, with gamma.",
            _terms(front=lambda gamma, std: gamma),
        ),
        Misreading(
            "Is the bracket divided by the variance? It is divided by its root.",
            _terms(front=lambda gamma, std: gamma / std**2),
        ),
        Misreading("Is M the number of images (axis N)? M = N * H * W, the numbers of one channel.", _terms(count=len)),
        Misreading(
            "Is M the number of pixels of one image? M = N * H * W: the batch (axis N) counts too.",
            _terms(count=lambda dy: dy.shape[1] * dy.shape[2]),
        ),
        Misreading(
            "Is M the number of all elements? M = N * H * W; the channels (axis C) do not count.",
            _terms(count=lambda dy: dy.size),
        ),
        Misreading("Is M - 1 used for M?", _terms(count=lambda dy: np.float64(dy[..., 0].size - 1))),
        Misreading("Are dbeta and dgamma not divided by M?", _terms(count=lambda dy: 1)),
        Misreading(
            "Are the sums over the positions of each image (axes H and W) only? They run over N too.",
            _terms(over=(1, 2)),
        ),
        Misreading("Are the sums over the batch (axis N) only? They run over H and W too.", _terms(over=(0,))),
        Misreading("Are the channels (axis C) added up too? Each channel has its own sums.", _terms(over=(0, 1, 2, 3))),
        Misreading(
            "Is x - mean used for xhat in the last term? It is divided by sqrt(variance + epsilon) there too.",
            _terms(third=lambda deviation, std: deviation),
        ),
        Misreading(
            "Is xhat missing from the last term? It is xhat * dgamma / M.",
            _terms(third=lambda deviation, std: np.ones_like(deviation)),
        ),
        *(
            Misreading(sentence, _terms(std=std, everywhere=everywhere))
            for everywhere in (False, True)
            for sentence, std in (
                ("Is epsilon left out? It is added to the variance.", lambda variance, epsilon: np.sqrt(variance)),
                (
                    "Is epsilon added to the root? It is added to the variance: sqrt(variance + epsilon).",
                    lambda variance, epsilon: np.sqrt(variance) + epsilon,
                ),
            )
        ),
        Misreading("Is the sign wrong?", lambda dy, **a: right_dx(dy=-dy, **a)),
    ),
    hints=(
        "If one pixel grows, its own xhat grows, but the mean and the variance of its channel change too. "
        "So there are three terms.",
        "The mean takes dbeta / M from every dy of the channel, the variance takes xhat * dgamma / M.",
        "dgamma, dbeta = batchnorm_dgamma_dbeta(...); then gamma / std * (dy - dbeta / M - xhat * dgamma / M).",
    ),
    minutes=35,
)


def right_of_hunt(dy: Array, x: Array, gamma: Array, epsilon: float) -> Array:
    """Return what the bug hunt's function should return.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, as they may not in a learner's counterexample.
    """
    if dy.shape != x.shape or gamma.shape != x.shape[3:]:
        raise ValueError(f"dy and x must have one shape, {x.shape}, and gamma must have {x.shape[3:]}")
    if epsilon <= 0:
        raise ValueError(f"epsilon must be positive; got {epsilon:g}")
    return right_dx(gamma=gamma, **_backward_arguments(dy, x, epsilon, None))


COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_batchnorm_dx,
    right=right_of_hunt,
    arguments=(
        Result("dy", IMAGES),
        Result("x", IMAGES),
        Result("gamma", ("C",)),
        Result("epsilon", kind="real"),
    ),
    hints=(
        "Compare the formula's M with what the sums are divided by.",
        "len(dy) is N. For which images is N * H * W the same as N?",
        "Take one image of two pixels, and a dy whose sum is not 0.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter07", "Batch-norm's backward", "07-batchnorm.md", (FORWARD, LAYER, PARAMETERS, DX, COUNTEREXAMPLE)
)
