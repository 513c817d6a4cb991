"""Errors of beginners in chapter 7."""

from functools import partial

from planting import one

_error = partial(one, "chapter07")

_MEAN = "mean = x.mean(axis=(0, 1, 2))"
_VARIANCE = "variance = ((x - mean) ** 2).mean(axis=(0, 1, 2))"
_Y = "y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta"
_NEW_MEAN = "momentum * moving_mean + (1 - momentum) * mean"
_NEW_VARIANCE = "momentum * moving_variance + (1 - momentum) * variance"
_ROOT = "np.sqrt(variance + epsilon)"
_OLD = "        return y, moving_mean, moving_variance"
_SUMS = "return (dy * xhat).sum(axis=(0, 1, 2)), dy.sum(axis=(0, 1, 2))"
_DX = "return gamma / std * (dy - dbeta / M - xhat * dgamma / M)"
_M = "M = x.size // x.shape[3]"

ERRORS = (
    _error("batchnorm_forward", "epsilon beside the root", _ROOT, "(np.sqrt(variance) + epsilon)", "added to the root"),
    _error("batchnorm_forward", "parentheses missing", _ROOT, "np.sqrt(variance) + epsilon", "parentheses missing"),
    _error("batchnorm_forward", "epsilon forgotten", "variance + epsilon", "variance", "epsilon left out"),
    _error(
        "batchnorm_forward", "root forgotten", "np.sqrt(variance + epsilon)", "(variance + epsilon)", "root left out"
    ),
    _error("batchnorm_forward", "variance of a sample", _VARIANCE, "variance = x.var(axis=(0, 1, 2), ddof=1)", "M - 1"),
    _error(
        "batchnorm_forward",
        "mean of squares",
        _VARIANCE,
        "variance = (x**2).mean(axis=(0, 1, 2)) - mean**2",
        "mean of the squares minus",
    ),
    _error(
        "batchnorm_forward",
        "over the batch only",
        f"{_MEAN}\n    {_VARIANCE}",
        "mean, variance = x.mean(axis=0), x.var(axis=0)",
        "(axis N) only",
    ),
    _error(
        "batchnorm_forward",
        "each image for itself",
        f"{_MEAN}\n    {_VARIANCE}",
        "mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)",
        "batchnorm_forward returns mean with the shape",
    ),
    _error(
        "batchnorm_forward",
        "over the channels too",
        f"{_MEAN}\n    {_VARIANCE}",
        "mean, variance = x.mean(), x.var()",
        "Each channel has a mean",
    ),
    _error(
        "batchnorm_forward",
        "each image for itself, without keepdims",
        f"{_MEAN}\n    {_VARIANCE}",
        "mean, variance = x.mean(axis=(1, 2)), x.var(axis=(1, 2))",
        "over the axes H and W only",
    ),
    _error(
        "batchnorm_forward",
        "channels first",
        f"{_MEAN}\n    {_VARIANCE}",
        "mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))",
        "as if the channels were axis 1",
    ),
    _error("batchnorm_forward", "beta forgotten", " + beta", "", "beta left out"),
    _error("batchnorm_forward", "gamma forgotten", "gamma * (x - mean)", "(x - mean)", "gamma left out"),
    _error(
        "batchnorm_forward",
        "standard deviation returned",
        "return y, mean, variance",
        "return y, mean, np.sqrt(variance)",
        "standard deviation returned",
    ),
    _error(
        "batchnorm_forward",
        "only y returned",
        "return y, mean, variance",
        "return y",
        "must return 3 results, (y, mean, variance)",
    ),
    _error(
        "batchnorm_layer",
        "averages updated at inference",
        _OLD,
        "        new = batchnorm_layer(x, gamma, beta, moving_mean, moving_variance, momentum, epsilon, True)\n"
        "        return y, new[1], new[2]",
        "updated at inference",
    ),
    _error(
        "batchnorm_layer",
        "averages changed in place",
        "    if not training:",
        "    moving_mean += (1 - momentum) * (x.mean(axis=(0, 1, 2)) - moving_mean)\n    if not training:",
        "argument moving_mean in place",
    ),
    _error(
        "batchnorm_layer",
        "batch used at inference",
        _Y.replace("mean", "moving_mean").replace("variance", "moving_variance"),
        "y = batchnorm_forward(x, gamma, beta, epsilon)[0]",
        "own mean used at inference",
    ),
    _error("batchnorm_layer", "training ignored", "if not training:", "if False:", "training ignored"),
    _error(
        "batchnorm_layer",
        "momentum the wrong way",
        "y, mean, variance =",
        "momentum = 1 - momentum\n    y, mean, variance =",
        "share of the batch",
    ),
    _error(
        "batchnorm_layer",
        "averages replaced",
        "return y, new_mean, new_variance",
        "return y, mean, variance",
        "replaced by those of the batch",
    ),
    _error("batchnorm_layer", "only the mean moves", _NEW_VARIANCE, "moving_variance", "only the mean updated"),
    _error(
        "batchnorm_layer",
        "average of deviations",
        _NEW_VARIANCE,
        _NEW_VARIANCE[:-8] + "variance**0.5",
        "standard deviation",
    ),
    _error(
        "batchnorm_layer",
        "averages added up",
        f"{_NEW_MEAN}\n    new_variance = {_NEW_VARIANCE}",
        "momentum * moving_mean + mean\n    new_variance = momentum * moving_variance + variance",
        "average a sum",
    ),
    _error("batchnorm_dgamma_dbeta", "x not normalized", "(dy * xhat)", "(dy * x)", "sum of dy * x?"),
    _error("batchnorm_dgamma_dbeta", "mean not subtracted", "xhat = (x - mean)", "xhat = x", "mean not subtracted"),
    _error(
        "batchnorm_dgamma_dbeta",
        "mean of the batch",
        _SUMS,
        "return (dy * xhat).sum(axis=(0, 1, 2)) / len(x), dy.sum(axis=(0, 1, 2)) / len(x)",
        "divided by N",
    ),
    _error(
        "batchnorm_dgamma_dbeta",
        "mean",
        _SUMS,
        "return (dy * xhat).mean(axis=(0, 1, 2)), dy.mean(axis=(0, 1, 2))",
        "means over N, H and W",
    ),
    _error(
        "batchnorm_dgamma_dbeta",
        "swapped",
        _SUMS,
        "return dy.sum(axis=(0, 1, 2)), (dy * xhat).sum(axis=(0, 1, 2))",
        "swapped",
    ),
    _error(
        "batchnorm_dgamma_dbeta",
        "of one image",
        _SUMS,
        "return (dy * xhat)[0].sum(axis=(0, 1)), dy[0].sum(axis=(0, 1))",
        "first image",
    ),
    _error(
        "batchnorm_dgamma_dbeta",
        "over the batch only",
        _SUMS,
        "return (dy * xhat).sum(axis=0), dy.sum(axis=0)",
        "(axis N) only",
    ),
    _error("batchnorm_dx", "statistics constant", _DX, "return gamma / std * dy", "taken for constants"),
    _error("batchnorm_dx", "term of the variance missing", " - xhat * dgamma / M", "", "through the variance left out"),
    _error("batchnorm_dx", "term of the mean missing", " - dbeta / M", "", "through the mean left out"),
    _error("batchnorm_dx", "sign of the last term", "- xhat * dgamma", "+ xhat * dgamma", "through the variance added"),
    _error("batchnorm_dx", "M is N", _M, "M = len(x)", "Is M the number of images (axis N)"),
    _error("batchnorm_dx", "M counts the channels", _M, "M = x.size", "number of all elements"),
    _error("batchnorm_dx", "sums swapped", "dgamma, dbeta =", "dbeta, dgamma =", "dgamma and dbeta swapped"),
    _error(
        "batchnorm_dx",
        "epsilon forgotten before the bracket",
        "gamma / std *",
        "gamma / np.sqrt(variance) *",
        "left out before the bracket",
    ),
    _error("batchnorm_dx", "gamma twice", "gamma / std *", "gamma**2 / std *", "by gamma twice"),
    _error("batchnorm_dx", "gamma forgotten", "gamma / std *", "1 / std *", "gamma left out"),
    _error("batchnorm_dx", "divided by the variance", "gamma / std *", "gamma / std**2 *", "divided by the variance"),
    _error(
        "batchnorm_dx",
        "epsilon beside the root",
        "np.sqrt(variance + epsilon)",
        "np.sqrt(variance) + epsilon",
        "epsilon added to the root",
    ),
    _error("batchnorm_dx", "xhat missing", "xhat * dgamma / M", "dgamma / M", "xhat missing"),
    _error("batchnorm_dx", "sums not divided", _M, "M = 1", "not divided by M"),
    _error(
        "counterexample",
        "one pixel in each image",
        "dy = np.array([1.0, 0.0]).reshape(1, 1, 2, 1)\n    x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)",
        "dy = np.array([1.0, 0.0]).reshape(2, 1, 1, 1)\n    x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)",
        "no counterexample",
    ),
)
