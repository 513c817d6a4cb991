"""Make a documented network for other images, or another number of classes, than those of its document."""

import math

from ..core.types import Shape
from ..layers import Conv2D, Dense, Layer, deserialize, serialize
from ..sequential import Sequential
from .recipe import Recipe

#: How many classes every data set of the documents has.
CLASSES = 10
#: The most weights that an adapted network may have; large images make the first dense layer enormous.
MAX_PARAMETERS = 2**27


def adapted(recipe: Recipe, layers: list[Layer], input_shape: Shape, classes: int) -> Sequential:
    """Return a network of these layers, built for images of another shape or for another number of classes.

    Parameters
    ----------
    recipe : Recipe
        Of the network.
    layers : list of Layer
        New layers, as the document has them.
    input_shape : (H, W, C)
    classes : int

    Raises
    ------
    ValueError
        If the network cannot take images of this shape; the message says which size it takes.
    """
    model = Sequential(_with_classes(layers, classes), name=recipe.name)
    height, width = recipe.input_shape[:2]
    cure = f"resize the images to {height}x{width}, for which it is made, or choose another network"
    what = f"{recipe.name} cannot take images of {'x'.join(map(str, input_shape))}"
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (H, W, C), the shape of one image; got {input_shape}")
    try:
        count = sum(map(math.prod, model.weight_shapes(input_shape).values()))
        result: Shape = input_shape
        for layer in model.layers:
            result = layer.output_shape(result)
    except ValueError as error:
        raise ValueError(f"input_shape: {what}: {str(error).removesuffix('.')}; {cure}") from error
    if result != (classes,):
        raise ValueError(
            f"input_shape: {what}: its last convolution would give {math.prod(result)} numbers for {classes} classes; "
            f"{cure}"
        )
    if count > MAX_PARAMETERS:
        raise ValueError(f"input_shape: {what}: it would have {count:,} weights; {cure}")
    model.build(input_shape)
    return model


def _with_classes(layers: list[Layer], classes: int) -> list[Layer]:
    """Return the layers, the last of which with weights of its own has a unit or a filter for each class."""
    last = max(number for number, layer in enumerate(layers) if isinstance(layer, Dense | Conv2D))
    description = serialize(layers[last])
    key = "units" if isinstance(layers[last], Dense) else "filters"
    description["config"][key] = classes
    return [*layers[:last], deserialize(description), *layers[last + 1 :]]
