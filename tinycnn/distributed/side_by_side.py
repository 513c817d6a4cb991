"""A step in which batch normalizations take the statistics of the whole batch, whoever computes which shard of it.

All shards go through the network side by side, layer by layer. In front of a batch normalization each shard's mean and
variance are sent to all ranks, which combine them. On the way back the same is done with the two sums of its gradient.
Everything is added in the order of the shards, so that results have the same bits for any number of ranks.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..layers import BatchNormalization
from ..layers.batchnorm import BatchNormCache
from ..network.final_activation import layer_of
from ..network.network import Network
from ..network.plan import fused, parts_of
from ..network.stage import is_plain
from ..training.step import first_trained, walk_backward, walk_forward
from .ranks import Alone
from .shards import Layout, Shard, limits_of


class _Moments(NamedTuple):
    """The input of a normalization, and a shard's own mean and variance of it."""

    x: Array
    mean: Array
    variance: Array


class _Measure:
    """The first half of a batch normalization: a shard's statistics; on the way back, how x moves those of all shards.

    Parameters
    ----------
    norm : BatchNormalization
    """

    layers: ClassVar[tuple[Any, ...]] = ()
    params: ClassVar[dict[str, Parameter]] = {}

    def __init__(self, norm: BatchNormalization) -> None:
        self.norm, self.name = norm, f"{norm.name}, statistics"
        self.mean = self.variance = self.scale = self.shift = np.empty(0)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, _Moments]:
        """Return the input itself, and with it the statistics of this shard."""
        norm = self.norm
        norm.check_input(x)
        gamma, beta = norm.gamma_and_beta()
        out = (norm.result(ws, len(x), training=True), *np.empty((2, len(gamma)), norm.dtype))
        _, mean, variance = norm.kernels.batch_norm_forward(
            x, gamma, beta, norm.epsilon, out=out, work=ws and ws.scratch()
        )
        return x, _Moments(x, mean, variance)

    def combine(self, shares: Array, found: Array) -> None:
        """Compute mean and variance of the whole batch, and move the running averages.

        ``Var = sum share * (var + (mean - Mean)^2)``; source: Chan, Golub & LeVeque, "Updating formulae and a pairwise
        algorithm for computing sample variances", 1979, equation 2.1.

        Parameters
        ----------
        shares : (V, 1) float64 array
            The share of the batch's images that are in each shard.
        found : (V, 2, C) float64 array
            The mean and the variance of each shard.
        """
        means, variances = found[:, 0], found[:, 1]
        mean = (shares * means).sum(axis=0)
        variance = (shares * (variances + np.square(means - mean))).sum(axis=0)
        self.mean, self.variance = mean.astype(self.norm.dtype), variance.astype(self.norm.dtype)
        self.norm._move_averages(self.mean, self.variance)

    def combine_back(self, images: int, found: Array) -> None:
        """Compute what the gradient by x gains because the statistics of the whole batch depend on x.

        As :func:`reference.batch_norm_backward` says, that is ``-gamma / std * (dbeta + xhat * dgamma) / M``, which is
        again a normalization of x, with another scale and shift.

        Parameters
        ----------
        images : int
            How many images the batch has.
        found : (V, 2, C) float64 array
            ``dgamma`` and ``dbeta`` of each shard.
        """
        norm = self.norm
        values = images * int(np.prod(norm.built_output_shape[:-1]))
        gamma, _ = norm.gamma_and_beta()
        per_value = -gamma / np.sqrt(self.variance.astype(np.float64) + norm.epsilon) / values
        self.scale, self.shift = (found.sum(axis=0) * per_value).astype(norm.dtype)

    def backward(self, dy: Array, cache: _Moments, *, ws: Workspace | None = None) -> Array:
        """Return dx: ``dy`` is the part of it that does not go through the statistics."""
        norm = self.norm
        dx: Array = norm.kernels.batch_norm_inference_forward(
            cache.x, self.scale, self.shift, self.mean, self.variance, norm.epsilon,
            out=norm.input_gradient(ws, len(dy)), work=ws and ws.scratch(),
        )  # fmt: skip
        dx += dy
        return dx


class _Normalise:
    """The second half: a normalization by the statistics of all shards, as if they were given.

    Parameters
    ----------
    measured : _Measure
        The first half.
    """

    layers: ClassVar[tuple[Any, ...]] = ()

    def __init__(self, measured: _Measure) -> None:
        self.measured, self.norm, self.name = measured, measured.norm, measured.norm.name
        self.sums = np.empty(0)  # of the shard that was last computed

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of the layer."""
        return self.norm.params

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, BatchNormCache]:
        """Return the result of the layer for a shard."""
        norm, measured = self.norm, self.measured
        y = norm.kernels.batch_norm_inference_forward(
            x, *norm.gamma_and_beta(), measured.mean, measured.variance, norm.epsilon,
            out=norm.result(ws, len(x), training=True), work=ws and ws.scratch(),
        )  # fmt: skip
        return y, BatchNormCache(x, measured.mean, measured.variance, False)

    def backward(self, dy: Array, cache: BatchNormCache, *, ws: Workspace | None = None) -> Array:
        """Write the gradients of this shard, and return the part of dx that does not go through the statistics."""
        norm = self.norm
        gamma, _ = norm.gamma_and_beta()
        dx, *sums = norm.kernels.batch_norm_inference_backward(
            dy, cache.x, gamma, cache.mean, cache.variance, norm.epsilon,
            out=(norm.input_gradient(ws, len(dy)), *np.empty((2, len(gamma)), norm.dtype)), work=ws and ws.scratch(),
        )  # fmt: skip
        self.sums = np.array(sums)
        for name, gradient in zip(("gamma", "beta"), sums, strict=True):
            if name in norm.params:
                norm.params[name].grad[...] = gradient
        return dx

    def backward_parameters(self, dy: Array, cache: BatchNormCache, *, ws: Workspace | None = None) -> None:
        """Write the gradients of this shard."""
        self.backward(dy, cache, ws=ws)


class SideBySide:
    """Computes the shards of a step side by side.

    Parameters
    ----------
    job : Alone or Job
    shards : int
        How many shards a batch has.
    """

    def __init__(self, job: Alone, shards: int) -> None:
        self._job, self._shards = job, shards
        self._workspaces: dict[int, Workspace] = {}
        self._of: Any = None
        self._chain: list[Any] = []

    def concerns(self, model: Network) -> bool:
        """Return whether there is a batch normalization to synchronise; one that is frozen has nothing to measure."""
        return any(_is_synchronised(layer) for layer in model.layers)

    def workspace(self, row: int) -> Workspace:
        """Return the memory of one of this rank's shards, which keeps what its backward will read."""
        return self._workspaces.setdefault(row, Workspace())

    def compute(
        self, model: Network, shards: list[Shard], images: int, layout: Layout, rows: Array, *, fuse: bool
    ) -> None:
        """Compute shards, and put what comes out of each into its row.

        Parameters
        ----------
        model : Network
        shards : list of Shard
            Those of this rank that have images.
        images : int
            How many images the whole batch has.
        layout : Layout
        rows : (L, T) array
            A row for each of this rank's shards, with or without images.
        fuse : bool
            Whether neighbouring layers run as one.
        """
        chain = self._chain_of(model, fuse)
        results, caches = self._forward(model, chain, shards, images, layout, rows)
        gradients = []
        for shard, y_pred in zip(shards, results, strict=True):
            losses, cache = model.chain_loss.forward(y_pred, shard.y, model.backend)
            layout.losses.of(rows[shard.row])[shard.limits] = losses
            layout.predictions.of(rows[shard.row])[shard.limits] = cache.p
            gradients.append(model.chain_loss.backward(cache, shard.weight, model.backend))
        self._backward(model, chain, shards, images, caches, gradients, layout, rows)

    def _chain_of(self, model: Network, fuse: bool) -> list[Any]:
        """Return what is run: each batch normalization in two halves, and what lies between them perhaps as steps."""
        single = model.chain
        norms = [part for part in single if _is_synchronised(part)]
        of = single, norms, fuse
        if self._of is None or self._of[0] is not single or self._of[1:] != of[1:]:
            chain: list[Any] = []
            between: list[Any] = []
            for part in [*single, None]:
                if part is None or part in norms:
                    chain += fused(between, model.backend) if fuse else between
                    between = []
                if part is not None and part in norms:
                    measure = _Measure(part)
                    chain += measure, _Normalise(measure)
                elif part is not None:
                    between.append(part)
            self._of, self._chain = of, chain
        return self._chain

    def _forward(
        self, model: Network, chain: list[Any], shards: list[Shard], images: int, layout: Layout, rows: Array
    ) -> tuple[list[Array], list[list[Any]]]:
        """Return the result of each shard, and what its layers have kept."""
        walks = [walk_forward(chain, s.x, step=s.step, ws=self.workspace(s.row)) for s in shards]
        results = [shard.x for shard in shards]
        caches: list[list[Any]] = [[] for _ in shards]
        limits = (limits_of(number, self._shards, images) for number in range(self._shards))
        shares = np.array([[(stop - start) / images] for start, stop in limits])
        numbers = {id(layer): number for number, layer in enumerate(model.layers)}
        for part in chain:
            changed = [
                (layout.buffers[numbers[id(layer)], name], buffer)
                for layer in map(layer_of, parts_of(part))
                for name, buffer in layer.buffers.items()
            ]
            for number, (shard, walk) in enumerate(zip(shards, walks, strict=True)):
                before = [buffer.copy() for _, buffer in changed]
                passed = next(walk)
                results[number] = passed.y
                caches[number].append(passed.cache)
                for (place, buffer), value in zip(changed, before, strict=True):
                    place.of(rows[shard.row])[...] = (buffer - value) * shard.share_of(images, rows.dtype)
                    buffer[...] = value
            if isinstance(part, _Measure):
                moments = {shard.row: cache[-1][1:] for shard, cache in zip(shards, caches, strict=True)}
                part.combine(shares, self._gathered(moments, len(rows), part.norm))
        return results, caches

    def _backward(
        self,
        model: Network,
        chain: list[Any],
        shards: list[Shard],
        images: int,
        caches: list[list[Any]],
        gradients: list[Array],
        layout: Layout,
        rows: Array,
    ) -> None:
        """Put the gradients of each shard into its row."""
        places = {id(parameter): layout.gradients.get(name) for name, parameter in model.parameters().items()}

        def keep(part: Any, shard: Shard) -> None:
            for parameter in part.params.values():
                place = places[id(parameter)]
                if place is not None:
                    place.of(rows[shard.row])[...] = parameter.grad

        first = first_trained(chain)
        walks = [
            walk_backward(chain[first + 1 :], kept, dy, ws=self.workspace(shard.row))
            for shard, kept, dy in zip(shards, caches, gradients, strict=True)
        ]
        for part in reversed(chain[first + 1 :]):
            sums = {}
            for number, (shard, walk) in enumerate(zip(shards, walks, strict=True)):
                _, _, gradients[number] = next(walk)
                keep(part, shard)
                if isinstance(part, _Normalise):
                    sums[shard.row] = part.sums
            if isinstance(part, _Normalise):
                part.measured.combine_back(images, self._gathered(sums, len(rows), part.norm))
        if first < len(chain):
            for shard, kept, dy in zip(shards, caches, gradients, strict=True):
                chain[first].backward_parameters(dy, kept.pop(), ws=self.workspace(shard.row))
                keep(chain[first], shard)

    def _gathered(self, found: dict[int, Any], count: int, norm: BatchNormalization) -> Array:
        """Return two numbers of all shards for each channel, with zeros for a shard that has no images."""
        channels = norm.built_output_shape[-1]
        mine, whole = np.zeros((count, 2, channels)), np.empty((self._shards, 2, channels))
        for row, pair in found.items():
            mine[row] = pair
        self._job.gather(mine, whole)
        return whole


def _is_synchronised(part: Any) -> bool:
    """Return whether a part of a chain is a batch normalization that takes the statistics of its batch."""
    return is_plain(part, BatchNormalization) and part.trainable
