"""The report: its blocks, and what they say about the existing records.

Every figure in its sentences is computed from the records. Networks that have not been run yet are named as such.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from ... import datasets, models
from ...models.recipe import Recipe
from . import beside, choices, pictures, records
from .blocks import Block, Bullets, Heading, Table, Text
from .curves import Record
from .pictures import Records
from .targets import Runs, all_targets, by_class, missed_by_last
from .words import NOT_RUN, count, params, percent, percent_1, spread, time, time_of

TITLE = "The documented results, reproduced"
#: The validation and the train accuracy that the document prints for fashion_base.
_PRINTED = 0.4369
_PRINTED_TRAIN = 0.9333
_LADDER = [name for name in models.names() if name.startswith("ladder_")]
_FASHION = ["fashion_base", "fashion_improved", "fashion_improved_blur"]
_PAIR = ["mnist_cnn", "cifar10_cnn", "cifar10_cnn_noaug"]


def blocks(found: Records, compared: Sequence[Record] = (), beside_keras: Sequence[Record] = ()) -> list[Block]:
    """Return the whole report.

    Parameters
    ----------
    found : mapping of str to sequence of records
        The result of :func:`records.read_all`.
    compared : sequence of records
        The result of :func:`choices.read_all`.
    beside_keras : sequence of records
        The result of :func:`beside.read_all`.
    """
    found = {name: runs for name, runs in found.items() if name not in models.beyond()}
    compared = [record for record in compared if record["name"] not in models.beyond()]
    return [
        Heading(1, TITLE),
        *_introduction(found),
        Heading(2, "Documented and reproduced"),
        *_results(found),
        Heading(2, "Targets"),
        *_targets(found),
        *beside.blocks(beside_keras),
        *_section("The MNIST ladder", _LADDER, _ladder, found),
        *_section("Fashion-MNIST", _FASHION, _fashion, found),
        *_section("MNIST and CIFAR-10", _PAIR, _pair, found),
        *_section("Small networks", _small_names(), _small, found),
        Heading(2, "What was chosen here"),
        *choices.blocks(compared),
        Heading(2, "How it was made"),
        *origin(found),
    ]


def _section(title: str, names: Sequence[str], write: Callable[[Records], list[Block]], found: Records) -> list[Block]:
    """Return the section on a document, or nothing if none of its networks has been run."""
    return [Heading(2, title), *write(found)] if any(map(found.get, names)) else []


def _names() -> list[str]:
    """Return the networks, each followed by its variations."""
    order: list[str] = []
    for name in models.names():
        order += [name, *(other for other in models.variations() if models.recipe(other).variation_of == name)]
    return order


# Introduction and tables ----------------------------------------------------------------------------------------


def _introduction(found: Records) -> list[Block]:
    """Return what was done, and how settings were chosen."""
    verdicts = [target.verdict(found.get(target.name, ()))[0] for target in all_targets()]
    open_ones = len(verdicts) - verdicts.count("met") - verdicts.count("missed")
    runs = sum(map(len, found.values()))
    planned = sum(models.recipe(name).runs for name in _names())
    hours = sum(records.seconds(record) for group in found.values() for record in group) / 3600
    return [
        Text(
            "Five documents report 25 networks for MNIST, Fashion-MNIST and CIFAR-10. `tinycnn reproduce` trains "
            "each by its document's recipe on the whole training set and tests it on the whole test set; `tinycnn "
            f"report` makes this page from the records of the runs. {runs} of {planned} runs are done, {hours:.1f} "
            f"hours of training. Of {len(verdicts)} targets, which were set beforehand, {verdicts.count('met')} are "
            f"met, {verdicts.count('missed')} missed and {open_ones} open."
        ),
        Text(
            "If a document does not give a setting, we chose it, and `tinycnn summary NAME` says so. We chose no "
            "setting by test accuracy: ours are usual values, and where there was a choice to make, images held out of "
            "the training set decided, as shown at the end of this page. The documents used the test set for "
            "validation, and some of them chose by it; the table says which. Our test accuracy of the best epoch is "
            "also chosen by the test set. We only give it because the documents give theirs; the last epoch's accuracy "
            "is the honest figure."
        ),
    ]


def _results(found: Records) -> list[Block]:
    """Return the table of all networks, and notes on it."""
    head = [
        *("Network", "Parameters: document", "ours", "Accuracy in %: document", "ours, best epoch", "ours, last epoch"),
        *("Errors in the first 100: document", "ours", "Runs", "Time of a run"),
    ]
    before = any("replaces" in record for group in found.values() for record in group)
    head += ["before"] if before else []
    rows = []
    for name in filter(found.get, _names()):
        recipe, runs = models.recipe(name), found[name]
        theirs = "" if recipe.variation_of else f"{recipe.params.total:,}"
        errors = recipe.documented.get("errors_in_first_100", "–")
        rows.append(
            [f"`{name}`", theirs, params(runs), _documented(recipe)]
            + [spread(runs, key) for key in ("best_val_accuracy", "last_val_accuracy")]
            + [str(errors), _errors(runs), count(runs, recipe), time(runs)]
            + ([_time_before(runs)] if before else [])
        )
    shared = any(record["threads"] < record["machine"]["cores"] for group in found.values() for record in group)
    busy = " Runs that used only some of the cores shared the machine with other work, so their times are upper bounds."
    text = [
        "Our figures are means over the runs, with the lowest and the highest in brackets. The runs differ only in "
        "their seed, which is 0, 1 and 2, or 0 if there is one run. The errors are those of each run, in the order of "
        "the seeds, with the weights of the epoch to which the document's own result belongs. The time is that of the "
        "middle epoch, including the test after it, times the number of epochs."
        f"{' Before is what the same run took with the kernels of an earlier numerics version.' if before else ''}"
        f"{busy if shared else ''}",
        "† The best of all epochs by the test set. ‡ The last epoch of a second run, whose number of epochs was "
        "picked on the test set. Figures without a mark belong to the end of a run, as far as the document says (how "
        "`variant_4` reached its accuracy is unknown). § As printed; the document's own accuracies by class have the "
        f"mean {100 * fmean(_documented_classes('fashion_base')):.2f}.",
    ]
    if not rows:
        return _without_records(found, _names())
    return [Table(head, rows), *_without_records(found, _names()), *map(Text, text)]


def _without_records(found: Records, names: Sequence[str]) -> list[Block]:
    """Return one line that names the networks that have not been run, if there are any."""
    missing = [f"`{name}`" for name in names if not found.get(name)]
    return [Text(f"{NOT_RUN.capitalize()}: {', '.join(missing)}.")] if missing else []


def _documented(recipe: Recipe) -> str:
    """Return the document's accuracy or accuracies in percent, with a mark if they were chosen by the test set."""
    if recipe.variation_of and recipe.documented_accuracy is None:
        return "no number"
    documented = recipe.documented
    best, last = (documented.get(f"{which}_val_accuracy") for which in ("best", "last"))
    if best is not None and last is not None:
        return f"{percent(best)}†, last {percent(last)}"
    if recipe.documented_accuracy is None:
        return "none given"
    mark = "†" if best is not None else "‡" if any("picked on the test" in note for note in recipe.notes) else ""
    return percent(recipe.documented_accuracy) + ("§" if recipe.documented_accuracy == _PRINTED else mark)


def _targets(found: Records) -> list[Block]:
    """Return the table of the targets, and notes on it."""
    rows = []
    for target in (target for target in all_targets() if found.get(target.name)):
        verdict, figure = target.verdict(found[target.name])
        rows.append([f"`{target.name}`", target.wanted, figure, f"**{verdict}**" if verdict == "missed" else verdict])
    return [
        Text(
            "The targets were set before the runs, for means over all runs of a network. `vanilla_large` and "
            "`variant_2` have no documented accuracy and therefore no target."
        ),
        *([Table(["Network", "Target", "Reached", "Verdict"], rows, numbers=2)] if rows else []),
        *_by_last_epoch(found),
    ]


def _by_last_epoch(found: Records) -> list[Block]:
    """Return a paragraph on the targets that the last epoch would miss, if there are any."""
    names = [f"`{name}`" for name in missed_by_last(found)]
    if not names:
        return []
    text = "Targets for the best epoch compare it with the accuracy that the document gives, whatever its epoch."
    return [Text(f"{text} With the last epoch in its place, these would be missed: {', '.join(names)}.")]


# The documents --------------------------------------------------------------------------------------------------


def _ladder(found: Records) -> list[Block]:
    """Return the section on the MNIST ladder."""
    names = _LADDER
    sentences = []
    for name in filter(found.get, names):
        recipe, runs = models.recipe(name), found[name]
        errors = recipe.documented["errors_in_first_100"]
        document = f"the document has {recipe.params.total:,}, {recipe.documented_accuracy:.3f} and {errors}"
        accuracy = fmean(record["test_accuracy"] for record in runs)
        ours = f"{runs[0]['params']:,} parameters, accuracy {accuracy:.4f}; errors of each run: {_errors(runs)}"
        sentences.append(f"`{name}`: {ours} ({document})")
    return [
        Text(
            "These are thirteen networks, each with one more idea than the one before. For each, the notebook has a "
            "line with its number of parameters, its accuracy and its errors in the first 100 test images. The "
            "accuracy is that of the best epoch if the notebook restored that epoch's weights, otherwise that of the "
            "last epoch."
        ),
        Bullets(sentences),
        Text(f"What we chose for `ladder_00` and `ladder_01`: {models.recipe('ladder_00').chosen[0]}"),
        *pictures.overview(found, names, "ladder", "The ladder"),
        *pictures.grids(
            found, [name for name in names if name in ("ladder_00", "ladder_03", "ladder_09", "ladder_10")]
        ),
        *pictures.filters(found, ["ladder_03", "ladder_05"]),
    ]


def _fashion(found: Records) -> list[Block]:
    """Return the section on the networks for Fashion-MNIST."""
    names = _FASHION
    head = ["Network", *datasets.fashion_mnist.class_names]
    rows = []
    for name in filter(found.get, names):
        documented = models.recipe(name).documented.get("per_class_accuracy")
        if documented:
            rows.append([f"`{name}`, document", *map(percent_1, _documented_classes(name))])
        rows.append([f"`{name}`, ours", *map(percent_1, by_class(found[name]))])
    return [
        Text("The accuracy of each class in %, in the last epoch; our figures are means over the runs."),
        Table(head, rows),
        *pictures.by_class(found, names),
        Heading(3, "What blur does"),
        *_blur(found),
        Heading(3, "The printed accuracy 0.4369"),
        *_printed(found),
        *pictures.overview(found, names, "fashion", "The networks for Fashion-MNIST"),
        *pictures.confusions(found, ["fashion_base", "fashion_improved"]),
        *pictures.surest(found, ["fashion_improved"]),
        *pictures.samples(found, "fashion_mnist", names),
        *pictures.filters(found, ["fashion_improved", "fashion_improved_blur"]),
    ]


def _blur(found: Records) -> list[Block]:
    """Return a table of test accuracies by blur, and a paragraph on it."""
    names = _FASHION
    shown: list[Block] = [
        Text(
            "The document trains `fashion_improved` a third time, on images augmented with Gaussian blur, and shows "
            "that accuracy in a figure without a number. Our run blurs every training image anew, with a standard "
            "deviation drawn evenly from 0 to 1 pixel. The table gives the test accuracy in % when all test images are "
            "blurred, by the standard deviation of that blur:"
        )
    ]
    there = [name for name in names if name in found]
    if not there:
        return [*shown, Text(f"{NOT_RUN.capitalize()}.")]
    sigmas = [key for key in found[there[0]][0]["test_accuracy_if"] if key.startswith("blurred")]
    rows = [
        [f"`{name}`", percent(_clean(found[name])), *(_spread_if(found[name], key) for key in sigmas)] for name in there
    ]
    shown.append(Table(["Network", "clean", *(key.removeprefix("blurred by ") for key in sigmas)], rows))
    if {"fashion_improved", "fashion_improved_blur"} <= found.keys():
        shown.append(Text(_blur_in_words(found["fashion_improved"], found["fashion_improved_blur"])))
    return shown


def _blur_in_words(sharp: Runs, blurred: Runs) -> str:
    """Return what the table of blur shows."""
    clean = 100 * (_clean(blurred) - _clean(sharp))
    worse = "costs" if clean < 0 else "gains"
    spread = 100 * (max(r["test_accuracy"] for r in sharp) - min(r["test_accuracy"] for r in sharp))
    noise = f" ({len(sharp)} runs without blur lie {spread:.2f} points apart)" if len(sharp) > 1 else ""
    losses = [100 * (_clean(runs) - _mean_if(runs, "blurred by 1.0 px")) for runs in (sharp, blurred)]
    beyond = [100 * (_clean(runs) - _mean_if(runs, "blurred by 2.0 px")) for runs in (sharp, blurred)]
    return (
        f"On clean test images, training on blurred ones {worse} {abs(clean):.2f} points{noise}. On test images "
        f"blurred by 1 pixel, the network that never saw a blurred image loses {losses[0]:.1f} points, the one that "
        f"did {losses[1]:.1f}. At 2 pixels, which is more than any training image had, the latter loses "
        f"{beyond[1]:.1f} points and the former {beyond[0]:.1f}. A likely reason is that blur removes the fine texture "
        "by which shirts, pullovers and coats differ. A network that was trained on blurred images decides more by "
        "outline and brightness, which remain."
    )


def _printed(found: Records) -> list[Block]:
    """Return what could have produced the document's contradictory accuracy."""
    mean = fmean(_documented_classes("fashion_base"))
    shown: list[Block] = [
        Text(
            f"For `fashion_base` the document prints a train accuracy of {_PRINTED_TRAIN} and a validation accuracy of "
            f"{_PRINTED}. The test set has 1,000 images of each class, so accuracy is the mean of the accuracies by "
            f"class, and the mean of the document's own is {mean:.4f}. Both cannot be true of the same network and the "
            f"same images. What could have produced {_PRINTED}?"
        )
    ]
    runs = found.get("fashion_base", ())
    if not runs:
        return [*shown, Text(f"{NOT_RUN.capitalize()}.")]
    if not all(map(_validation, runs)):
        return [*shown, Text("A run of ours diverged, so it says nothing about this.")]
    return [
        *shown,
        Bullets([_as_a_loss(runs), _as_other_images(runs), _as_training(runs)]),
        Text(
            "The document does not say which of these happened, and nothing here proves it. The figures to compare "
            f"with are its accuracies by class. {_with_fewer_images(runs)}"
        ),
    ]


def _as_a_loss(runs: Runs) -> str:
    """Return the explanation that the printed figure is a loss."""
    losses = [(loss, accuracy) for record in runs for loss, accuracy in _validation(record)]
    nearest = min(losses, key=lambda pair: abs(pair[0] - _PRINTED))
    return (
        "A loss in place of an accuracy: `evaluate` returns both, the loss first. In our runs the validation loss goes "
        f"from {min(losses)[0]:.3f} to {max(losses)[0]:.3f}, and at {nearest[0]:.4f}, the value nearest to {_PRINTED}, "
        f"the accuracy is {nearest[1]:.4f}. Such a network has a loss of this size, which makes this the simplest "
        "explanation."
    )


def _as_other_images(runs: Runs) -> str:
    """Return the explanation that the test images were prepared differently."""
    cases = [key for key in runs[0]["test_accuracy_if"] if not key.startswith("blurred by 0")]
    listed = ", ".join(f"{key} {_mean_if(runs, key):.4f}" for key in cases)
    return (
        "Test images that were prepared in another way than the training images. Our test accuracy with test images "
        f"that are changed is: {listed}. With unchanged images it is {_clean(runs):.4f}."
    )


def _as_training(runs: Runs) -> str:
    """Return the explanation that training went badly."""
    lowest = min(accuracy for record in runs for _, accuracy in _validation(record))
    return f"Bad training, which is unlikely: in no epoch of our runs is the validation accuracy below {lowest:.4f}."


def _with_fewer_images(runs: Runs) -> str:
    """Return which validation accuracy our runs have at the document's train accuracy."""
    pairs = [pair for record in runs for pair in zip(record["accuracy"], record["val_accuracy"], strict=True)]
    train, validation = min(pairs, key=lambda pair: abs(pair[0] - _PRINTED_TRAIN))
    mean = fmean(_documented_classes("fashion_base"))
    return (
        f"In the epoch of our runs with the train accuracy {train:.4f}, the value nearest to the document's "
        f"{_PRINTED_TRAIN}, the validation accuracy is {validation:.4f}. The document's {mean:.4f} is "
        f"{'lower' if mean < validation else 'not lower'}; a smaller training set is one possible reason."
    )


def _validation(record: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the loss and accuracy of each epoch that has a finite loss."""
    pairs = zip(record["val_loss"], record["val_accuracy"], strict=True)
    return [(loss, accuracy) for loss, accuracy in pairs if loss is not None]


def _pair(found: Records) -> list[Block]:
    """Return the section on the networks for MNIST and CIFAR-10."""
    names = _PAIR
    chosen = {name: " ".join(_chosen(name)) for name in names[:2]}
    return [
        Text(f"What we chose for `mnist_cnn`: {chosen['mnist_cnn']}"),
        Text(
            f"What we chose for `cifar10_cnn`: {chosen['cifar10_cnn']} `cifar10_cnn_noaug` is the same without "
            "augmentation. " + _gain_of_augmentation(found)
        ),
        *pictures.overview(found, names, "mnist-cifar", "The networks for MNIST and CIFAR-10"),
        *pictures.surest(found, ["mnist_cnn", "cifar10_cnn"]),
        *pictures.confusions(found, ["mnist_cnn", "cifar10_cnn"]),
        *pictures.by_class(found, ["cifar10_cnn"]),
        *pictures.samples(found, "mnist", ["mnist_cnn"]),
        *pictures.samples(found, "cifar10", ["cifar10_cnn"]),
        *pictures.filters(found, ["cifar10_cnn"]),
    ]


def _chosen(name: str) -> list[str]:
    """Return what was chosen for a network, except for its seed, because the runs have other seeds."""
    return [sentence for sentence in models.recipe(name).chosen if not sentence.startswith("Seed")]


def _gain_of_augmentation(found: Records) -> str:
    """Return how much augmentation changes the accuracy of the network for CIFAR-10."""
    if not {"cifar10_cnn", "cifar10_cnn_noaug"} <= found.keys():
        return "The two are not run yet."
    (with_it, without) = (found[name][0] for name in ("cifar10_cnn", "cifar10_cnn_noaug"))
    gain = 100 * (with_it["last_val_accuracy"] - without["last_val_accuracy"])
    return (
        f"In the last epoch, augmentation {'gains' if gain >= 0 else 'costs'} {abs(gain):.2f} points of test accuracy "
        f"({percent(without['last_val_accuracy'])} % without it); train accuracy, measured in training with dropout, "
        f"is {percent(with_it['accuracy'][-1])} % with it and {percent(without['accuracy'][-1])} % without."
    )


def _small_names() -> list[str]:
    """Return the networks of the documents on small networks."""
    return [name for name in models.names() if models.recipe(name).document.startswith(("Assignment", "EIP4"))]


def _small(found: Records) -> list[Block]:
    """Return the section on the small networks."""
    names = _small_names()
    eip = found.get("eip4", ())
    beside = "not run yet"
    if eip:
        ends = [[record[key][-1] for record in eip] for key in ("val_loss", "accuracy", "loss")]
        # Null stands for the loss of a network that diverged.
        means = [f"{fmean(values):.4f}" if None not in values else "none" for values in ends]
        beside = f"{means[0]}, {means[1]} and {means[2]}"
    return [
        Text(
            "Seven networks for MNIST have few parameters, and four of them fewer than 15,000. The document of `eip4` "
            "also gives the last epoch's validation loss 0.0200, train accuracy 0.9581 and train loss 0.0901; our "
            f"means over the runs are {beside}."
        ),
        *pictures.overview(found, names, "small", "The small networks"),
        *pictures.confusions(found, ["go_crazy"]),
        *pictures.surest(found, ["eip4"]),
    ]


def origin(found: Records) -> list[Block]:
    """Return on which machines, with which versions and by which commands the records were made."""
    made = sorted({_machine(record) for group in found.values() for record in group})
    versions: dict[str, list[str]] = {}
    for name, group in found.items():
        for version in sorted({records.numerics(record) for record in group}):
            versions.setdefault(version, []).append(f"`{name}`")
    old = [
        f"`{name}`"
        for name, group in found.items()
        if any(records.differences(record, models.recipe(name).to_dict()) for record in group)
    ]
    shown: list[Block] = [
        Text(
            "Every record is a file `results/NAME-seedS.json` with the figures of each epoch, the settings, the "
            "versions, the commit and the command that repeats it. In another checkout, the command trains again and "
            "says whether the bits are the same, which they are on a processor of the same family. Bits are compared "
            "only within one numerics version, because they change with the kernels. `tinycnn report results --docs "
            "docs` writes this page and its pictures."
        )
    ]
    if made:
        shown.append(Bullets(made))
    if len(versions) > 1:
        listed = "; ".join(
            f"{_numerics_in_words(version)}: {', '.join(names)}" for version, names in sorted(versions.items())
        )
        shown.append(Text(f"Not all runs have the kernels of one numerics version. {listed}."))
    if old:
        shown.append(Text(f"These were trained by an older recipe than today's: {', '.join(old)}."))
    return shown


def _numerics_in_words(version: str) -> str:
    """Return a numerics version as the beginning of a sentence."""
    return f"Version {version}" if version else "Before there were such versions"


def _machine(record: Mapping[str, Any]) -> str:
    """Return the machine and the versions of a record in words."""
    machine, versions = record["machine"], record["versions"]
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{machine['processor']}, {machine['cores']} cores, {threads}, backend `{record['backend']}`; {packages}"


# Figures in words -----------------------------------------------------------------------------------------------


def _spread_if(runs: Runs, key: str) -> str:
    """Return the mean test accuracy on images that are changed in this way, in percent."""
    return percent(_mean_if(runs, key))


def _mean_if(runs: Runs, key: str) -> float:
    """Return the mean test accuracy on images that are changed in this way."""
    return fmean(record["test_accuracy_if"][key] for record in runs)


def _clean(runs: Runs) -> float:
    """Return the mean test accuracy on unchanged images."""
    return fmean(record["test_accuracy"] for record in runs)


def _documented_classes(name: str) -> tuple[float, ...]:
    """Return the documented accuracy of each class."""
    classes = models.recipe(name).documented["per_class_accuracy"]
    assert isinstance(classes, tuple)
    return classes


def _errors(runs: Runs) -> str:
    """Return the errors of each run in the first 100 test images."""
    return ", ".join(str(record["first_100_errors"]) for record in runs)


def _time_before(runs: Runs) -> str:
    """Return the same of the runs that these replace."""
    older = [record["replaces"] for record in runs if "replaces" in record]
    return time_of([run["seconds"] for run in older], [run["images_per_second"] for run in older])
