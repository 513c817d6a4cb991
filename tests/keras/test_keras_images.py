"""Pictures, folders of pictures and generators of changed images, as programs for Keras use them."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tinycnn import keras
from tinycnn.keras.preprocessing.image import ImageDataGenerator

image = keras.preprocessing.image


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a folder for each of two classes, of six pictures each, and a hidden file."""
    rng = np.random.default_rng(0)
    for label, level in (("cats", 60), ("dogs", 180)):
        (tmp_path / label).mkdir()
        for number in range(6):
            pixels = np.full((12, 9, 3), level + number, np.uint8)
            pixels[0, 0] = rng.integers(0, 255, 3)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
        (tmp_path / label / ".hidden.png").write_bytes(b"no picture")
        (tmp_path / label / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_are_read_resized_and_turned_into_arrays(folder):
    path = folder / "cats" / "0.png"
    picture = image.load_img(path, target_size=(6, 8))
    assert picture.size == (8, 6)
    pixels = image.img_to_array(picture)
    assert (pixels.shape, pixels.dtype, pixels[3, 3].tolist()) == ((6, 8, 3), np.float32, [60, 60, 60])
    assert image.img_to_array(image.load_img(path, grayscale=True)).shape == (12, 9, 1)
    assert keras.utils.load_img(path, color_mode="grayscale").mode == "L"
    with Image.open(path) as opened:
        assert np.array_equal(image.img_to_array(image.load_img(path)), np.asarray(opened, np.float32))
    cut = image.load_img(path, target_size=(4, 4), keep_aspect_ratio=True)
    assert cut.size == (4, 4)
    for call, message in (
        (lambda: image.load_img(path, color_mode="rgba"), "write 'rgb'"),
        (lambda: image.load_img(path, interpolation="cubic", target_size=(3, 3)), "interpolation must be one of"),
        (lambda: image.load_img(folder / "cats" / "notes.txt"), "picture"),
        (lambda: image.img_to_array(np.zeros(3)), "one picture"),
        (lambda: image.img_to_array(np.zeros((3, 3)), "channels_first"), "leave the argument out"),
        (lambda: image.array_to_img(np.zeros((3, 3, 4))), "must be one picture"),
        (lambda: image.save_img(folder / "x.nothing", np.zeros((3, 3, 1))), "must end in"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_arrays_become_pictures(tmp_path):
    pixels = np.arange(12.0).reshape(2, 2, 3)
    assert np.asarray(image.array_to_img(pixels))[1, 1, 2] == 255  # stretched
    assert np.array_equal(np.asarray(image.array_to_img(pixels, scale=False)), pixels)
    assert np.array_equal(np.asarray(image.array_to_img(np.full((2, 2, 1), 7.0))), np.zeros((2, 2)))
    image.save_img(tmp_path / "x.png", pixels, scale=False)
    assert np.array_equal(image.img_to_array(image.load_img(tmp_path / "x.png")), pixels)


def test_flow_gives_batches_in_new_orders_and_every_image_once():
    x = np.arange(50.0).reshape(50, 1, 1, 1)
    batches = ImageDataGenerator().flow(x, np.arange(50), batch_size=20, seed=3)
    assert (len(batches), batches.n, batches.batch_size) == (3, 50, 20)
    epochs = [np.concatenate([batch[1] for batch in itertools.islice(batches, 3)]) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(50))] * 2
    assert epochs[0].tolist() != epochs[1].tolist()
    again = ImageDataGenerator().flow(x, np.arange(50), batch_size=20, seed=3)
    assert np.array_equal(next(again)[1], epochs[0][:20])
    in_order = ImageDataGenerator().flow(x, batch_size=20, shuffle=False)
    assert np.array_equal(in_order[2], x[40:])
    weighted = ImageDataGenerator().flow(x, np.arange(50), sample_weight=np.arange(50) / 50, batch_size=10)
    _, labels, weights = next(weighted)
    assert np.array_equal(labels / 50, weights)
    with pytest.raises(IndexError, match="3 batches"):
        batches[3]


def test_images_are_written_as_they_are_made(tmp_path):
    x = np.random.default_rng(0).random((1, 8, 8, 3)) * 255
    batches = ImageDataGenerator(rotation_range=40).flow(
        x, batch_size=1, save_to_dir=tmp_path, save_prefix="cat", save_format="jpeg"
    )
    for number, _ in enumerate(batches):
        if number == 4:
            break
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"cat_0_{epoch}.jpeg" for epoch in range(5)]
    assert image.load_img(tmp_path / names[0]).size == (8, 8)
    with pytest.raises(ValueError, match="a folder that exists"):
        ImageDataGenerator().flow(x, save_to_dir=tmp_path / "nothing")


def test_subsets_of_arrays():
    x = np.arange(10.0).reshape(10, 1, 1, 1)
    generator = ImageDataGenerator(validation_split=0.2)
    held_out = generator.flow(x, np.arange(10), subset="validation", shuffle=False)
    rest = generator.flow(x, np.arange(10), subset="training", shuffle=False)
    assert held_out[0][1].tolist() == [0, 1]
    assert rest[0][1].tolist() == list(range(2, 10))
    with pytest.raises(ValueError, match="validation_split"):
        ImageDataGenerator().flow(x, subset="training")


def test_each_change_does_what_it_says():
    rng = np.random.default_rng(0)
    x = rng.random((30, 8, 8, 2)).astype("float32")

    def changed(**arguments):
        return ImageDataGenerator(**arguments).flow(x, batch_size=30, shuffle=False, seed=1)[0]

    assert np.array_equal(changed(), x)
    np.testing.assert_allclose(changed(rescale=1 / 255), x / 255, rtol=1e-6)
    flipped = changed(horizontal_flip=True)
    both = [
        (np.allclose(y, one, atol=1e-6), np.allclose(y, one[:, ::-1], atol=1e-6))
        for y, one in zip(flipped, x, strict=True)
    ]
    assert all(a != b for a, b in both)
    assert {a for a, _ in both} == {True, False}
    shifted = changed(width_shift_range=[2.0], fill_mode="constant")
    for y, one in zip(shifted, x, strict=True):
        right = np.allclose(y[:, 2:], one[:, :-2], atol=1e-6) and not y[:, :2].any()
        left = np.allclose(y[:, :-2], one[:, 2:], atol=1e-6) and not y[:, -2:].any()
        assert right != left
    down = changed(height_shift_range=0.25, fill_mode="nearest")
    assert not np.allclose(down, x)
    assert down.min() >= x.min() - 1e-6
    lighter = changed(brightness_range=(0.5, 0.5))
    assert lighter.max() == pytest.approx(127.5)
    levels = changed(channel_shift_range=0.2)
    assert not np.allclose(levels, x)
    assert levels.max() <= x.max() + 1e-6
    for y in changed(samplewise_center=True, samplewise_std_normalization=True):
        assert abs(y.mean()) < 1e-5
        assert y.std() == pytest.approx(1, abs=1e-3)
    doubled = changed(preprocessing_function=lambda one: 2 * one)
    np.testing.assert_allclose(doubled, 2 * x)


def test_statistics_of_all_images():
    x = np.random.default_rng(0).normal(3, 2, (200, 4, 4, 2)).astype("float32")
    generator = ImageDataGenerator(featurewise_std_normalization=True)
    with pytest.warns(UserWarning, match=r"until datagen.fit\(x\)"):
        generator.standardize(x[0])
    generator.fit(x)
    whole = generator.flow(x, batch_size=200, shuffle=False)[0]
    np.testing.assert_allclose(whole.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(whole.std(axis=(0, 1, 2)), 1, atol=1e-3)
    generator.fit(x, augment=True, rounds=2)
    assert generator.random_transform(x[0], seed=3).shape == (4, 4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zca_whitening": True}, "featurewise_center"),
        ({"data_format": "channels_first"}, "transpose"),
        ({"fill_mode": "mirror"}, "fill_mode must be one of"),
        ({"zoom_range": (1, 2, 3)}, "smallest and a largest"),
        ({"rotation_range": -3}, "rotation_range must be >= 0"),
        ({"preprocessing_function": 3}, "must be a function"),
        ({"interpolation_order": 3}, "bilinear"),
        ({"dtype": "float64"}, "float32"),
        ({"horizontal_flip": "yes"}, "horizontal_flip must be True or False"),
    ],
)
def test_a_generator_says_what_is_wrong(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ImageDataGenerator(**arguments)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 8, 8)), None, r"x\[..., None\]"),
        (np.zeros((3, 8, 8, 1)), [1], "equally long"),
        ([], None, "x"),
    ],
)
def test_flow_says_what_is_wrong(x, y, message):
    with pytest.raises(ValueError, match=message):
        ImageDataGenerator().flow(x, y)


def test_training_on_changed_images_repeats_to_the_bit():
    x = np.random.default_rng(0).random((40, 8, 8, 1)).astype("float32")
    y = np.arange(40) % 2

    def trained():
        keras.utils.set_random_seed(2)
        model = keras.Sequential([keras.layers.Flatten(input_shape=(8, 8, 1)), keras.layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        generator = ImageDataGenerator(rotation_range=20, zoom_range=0.2, shear_range=10, vertical_flip=True)
        model.fit(generator.flow(x, y, batch_size=8), epochs=2, verbose=0)
        return model.get_weights()

    assert all(map(np.array_equal, trained(), trained()))


def test_flow_from_directory(folder, capsys):
    batches = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        folder, target_size=(5, 4), batch_size=8, class_mode="categorical", shuffle=False
    )
    assert "Found 12 images belonging to 2 classes." in capsys.readouterr().out
    assert batches.class_indices == {"cats": 0, "dogs": 1}
    assert batches.filenames[0] == "cats/0.png"
    assert batches.classes.tolist() == [0] * 6 + [1] * 6
    x, y = batches[1]
    assert (x.shape, y.tolist()) == ((4, 5, 4, 3), [[0, 1]] * 4)
    assert x[0, 2, 2, 0] == pytest.approx(182 / 255)
    binary = ImageDataGenerator().flow_from_directory(folder, class_mode="binary", color_mode="grayscale")
    assert next(binary)[0].shape == (12, 256, 256, 1)
    alone = ImageDataGenerator().flow_from_directory(folder, class_mode=None, target_size=(3, 3))
    assert next(alone).shape == (12, 3, 3, 3)
    parts = ImageDataGenerator(validation_split=0.5)
    sizes = {part: parts.flow_from_directory(folder, subset=part).n for part in ("training", "validation")}
    assert sizes == {"training": 6, "validation": 6}
    one = ImageDataGenerator().flow_from_directory(folder, classes=["dogs"], class_mode="sparse", target_size=(3, 3))
    assert next(one)[1].tolist() == [0] * 6


def test_a_folder_that_does_not_suit_says_so(folder, tmp_path):
    flow = ImageDataGenerator().flow_from_directory
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        flow(tmp_path / "nothing")
    with pytest.raises(ValueError, match="one for each class"):
        flow(tmp_path / "empty")
    (tmp_path / "empty" / "cats").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        flow(tmp_path / "empty")
    with pytest.raises(ValueError, match="'binary' is for two classes"):
        flow(folder, class_mode="binary")  # the folder "empty" is a class, too
    (folder / "cats" / "bad.png").write_bytes(b"no picture")
    batches = flow(folder, classes=["cats"], shuffle=False, target_size=(3, 3))
    with pytest.raises(ValueError, match=r"bad\.png"):
        batches[0]


def test_a_data_set_from_a_folder(folder):
    whole = keras.utils.image_dataset_from_directory(folder, image_size=(6, 6), batch_size=5, shuffle=False)
    assert (whole.class_names, len(whole), len(whole.file_paths)) == (["cats", "dogs"], 3, 12)
    shapes = [(images.shape, labels.tolist()) for images, labels in whole]
    assert shapes[0] == ((5, 6, 6, 3), [0] * 5)
    assert shapes[2] == ((2, 6, 6, 3), [1] * 2)
    [(images, labels)] = whole.skip(1).take(1).as_numpy_iterator()
    assert labels.tolist() == [0] + [1] * 4
    scaled = whole.map(lambda x, y: (x / 255, y)).cache().prefetch(2)
    np.testing.assert_allclose(scaled[1][0], images / 255)
    for x, y in scaled.take(1):
        assert isinstance(x[0].numpy(), np.ndarray)
        assert type(y.numpy()) is np.ndarray
    assert not hasattr(whole, "dtype")
    with pytest.raises(NotImplementedError, match="the method unbatch of a data set"):
        whole.unbatch()


def test_two_parts_of_a_folder_have_no_picture_in_common(folder):
    both = {"validation_split": 0.25, "seed": 7, "batch_size": None, "image_size": (4, 4)}
    training, held_out = keras.utils.image_dataset_from_directory(folder, subset="both", **both)
    assert sorted(training.file_paths + held_out.file_paths) == sorted(
        str(path) for path in folder.rglob("*.png") if not path.name.startswith(".")
    )
    alone = keras.preprocessing.image_dataset_from_directory(folder, subset="validation", **both)
    assert alone.file_paths == held_out.file_paths
    assert len(held_out.file_paths) == 3
    orders = [[y for _, labels in training for y in labels.tolist()] for _ in range(4)]
    assert len(set(map(tuple, orders))) > 1  # each epoch has an order of its own


@pytest.mark.parametrize(
    ("mode", "shape"), [("int", (12,)), ("categorical", (12, 2)), ("binary", (12, 1)), (None, None)]
)
def test_labels_of_a_data_set(folder, mode, shape):
    [found] = keras.utils.image_dataset_from_directory(folder, label_mode=mode, image_size=(3, 3))
    assert (found[1].shape if mode else None) == shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation_split": 0.2}, "belong together"),
        ({"validation_split": 0.2, "subset": "training"}, "give a seed"),
        ({"validation_split": 0.01, "subset": "training", "seed": 1}, "leaves none"),
        ({"labels": [0, 1]}, "a folder for each class"),
        ({"pad_to_aspect_ratio": True}, "crop_to_aspect_ratio"),
        ({"label_mode": "float"}, "label_mode must be one of"),
        ({"interpolation": "area"}, "interpolation must be one of"),
    ],
)
def test_a_data_set_says_what_is_wrong(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        keras.utils.image_dataset_from_directory(folder, **arguments)
