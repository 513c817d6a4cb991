"""Check the checks: they catch each deliberate error, and without an error they all pass."""

import re
from collections import Counter

import make_table
import pytest
from mutant_list import MUTANTS


def test_there_are_enough_errors_in_every_part():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 45
    parts = Counter(mutant.part for mutant in MUTANTS)
    least = {
        "Conv2D": 10,
        "MaxPooling2D": 5,
        "BatchNormalization": 6,
        "Dense": 4,
        "ReLU": 2,
        "Softmax": 3,
        "Dropout": 4,
    }
    least |= {"Cross-entropy": 5, "SGD": 2, "Adam": 3, "Optimizer": 2, "Flatten": 2, "Layers": 3, "Training": 3}
    assert {part: parts[part] for part, count in least.items() if parts[part] < count} == {}


@pytest.mark.slow
def test_without_an_error_every_check_passes():
    called = make_table.reached()  # this runs all checks
    assert len(called) == len(make_table.all_checks())
    # Every function that a mutant replaces is called by some check.
    everything = set().union(*called.values())
    for mutant in MUTANTS:
        assert {(id(patch.owner), patch.name) for patch in mutant.patches} <= everything, mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
@pytest.mark.slow
def test_is_caught(mutant):
    before = [patch.right for patch in mutant.patches]
    catch = make_table.first_catch(mutant)
    assert all(patch.right is right for patch, right in zip(mutant.patches, before, strict=True))
    assert catch, f"{mutant.part}: {mutant.what}: no check fails. Make a check stronger, but not for this error alone"


@pytest.mark.slow
def test_the_page_is_up_to_date():
    """Compare all but the messages, which contain numbers that differ in their last digits between machines."""
    expected = make_table.page({mutant.name: make_table.first_catch(mutant) for mutant in MUTANTS})
    found = make_table.PAGE.read_text("utf-8")

    def rows(page):
        return re.findall(r"^(\| `\w+` \| .+? \| .+?) \| ", page, re.MULTILINE)

    assert rows(expected), "the table has rows"
    hint = "run python tests/mutants/make_table.py"
    assert rows(found) == rows(expected), hint
    assert found.partition("| error |")[0] == expected.partition("| error |")[0], hint
