"""A run beside the record of an earlier one: the same bits, or where they begin to differ, and why they may."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import records

Record = Mapping[str, Any]
#: What a record says of when, where and how fast a run was, which a repetition need not share.
_CIRCUMSTANCES = frozenset(
    {
        *("seconds", "seconds_by_epoch", "images_per_second", "threads", "command", "date", "commit", "replaces"),
        *("versions", "machine", "backend", "recipe"),
    }
)


class Comparison(NamedTuple):
    """What a repetition shows.

    Attributes
    ----------
    said : str
        The outcome as a sentence.
    as_expected : bool
        Whether the bits are the same, or there is a reason why they need not be.
    """

    said: str
    as_expected: bool


def outdated(record: Record, recipe: Record, numerics: int) -> str:
    """Return why the bits of a record cannot be repeated any more, in words, or an empty string if they can.

    Parameters
    ----------
    record : mapping
    recipe : mapping
        Today's recipe (``Recipe.to_dict``).
    numerics : int
        Today's numerics version, see :mod:`tinycnn.core.version`.
    """
    reasons = []
    differing = records.differences(record, recipe)
    if differing:
        reasons.append(f"by an older recipe (another {', '.join(differing)})")
    if records.numerics(record) != str(numerics):
        reasons.append(f"of {_numerics_in_words(record)}, and this is numerics version {numerics}")
    return ", and ".join(reasons)


def compare(record: Record, repetition: Record) -> Comparison:
    """Compare a repetition with the record of the same network and seed.

    Bits are compared only between runs of one recipe and one numerics version; else the accuracies stand side by side.
    """
    why = outdated(record, repetition["recipe"], int(records.numerics(repetition)))
    if why:
        return Comparison(
            f"the bits are not compared, because the record is {why}; accuracy of the last epoch "
            f"{repetition['last_val_accuracy']:.4f}, in the record {record['last_val_accuracy']:.4f}",
            True,
        )
    compared = record.keys() & repetition.keys() - _CIRCUMSTANCES
    differing = [key for key in repetition if key in compared and record[key] != repetition[key]]
    if not differing:
        return Comparison(
            f"the same bits as in the record of {record['date']}: every loss and accuracy of {record['epochs']} "
            f"epochs, and {len(record['predicted']):,} predictions",
            True,
        )
    reasons = list(_reasons(record, repetition))
    because = (
        f"possible reasons are {'; '.join(reasons)}"
        if reasons
        else "processor, versions and backend are the same, so they should not; please report this as a fault"
    )
    return Comparison(f"other bits than in the record, from {_first(record, repetition, differing)} on; {because}",
                      bool(reasons))  # fmt: skip


def _numerics_in_words(record: Record) -> str:
    """Return the numerics version of a record in words."""
    return (
        f"numerics version {records.numerics(record)}"
        if records.numerics(record)
        else "a time before numerics versions"
    )


def _reasons(record: Record, repetition: Record) -> Iterator[str]:
    """Yield what differs between two runs and may change bits."""
    there, here = (
        {"processor": run["machine"].get("processor"), "backend": run["backend"], **run["versions"]}
        for run in (record, repetition)
    )
    for key in there | here:
        if there.get(key) != here.get(key):
            yield f"{key} {here.get(key, 'none')} instead of {there.get(key, 'none')}"


def _first(record: Record, repetition: Record, differing: list[str]) -> str:
    """Return in words where two runs begin to differ."""
    curves = [key for key in records.CURVES if key in differing]
    if not curves:
        return f"{differing[0]!r}"
    epochs = (zip(record[key], repetition[key], strict=False) for key in curves)
    firsts = [next((i for i, (a, b) in enumerate(pairs) if a != b), record["epochs"]) for pairs in epochs]
    epoch = min(firsts)
    key = curves[firsts.index(epoch)]
    if epoch >= min(len(record[key]), len(repetition[key])):
        return f"the number of epochs, {len(repetition[key])} instead of {len(record[key])},"
    return f"{key} of epoch {epoch + 1}, {repetition[key][epoch]!r} instead of {record[key][epoch]!r},"
