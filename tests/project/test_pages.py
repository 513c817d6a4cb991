"""A newcomer can follow the pages word by word, and they show what happens then."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import offline, reading, written_on
from pages.newcomer import Newcomer, PageError
from PIL import Image

ACTIVATE = "source .venv/bin/activate"


@pytest.mark.parametrize("name", ["README.md", "docs/install.md"])
def test_the_environment_is_activated_right_behind_the_line_that_installs(name: str) -> None:
    text = (reading.ROOT / name).read_text("utf-8")
    first = next(block for block in reading.blocks(text) if "pip install" in block.code)
    assert first.code.splitlines()[1:] == [ACTIVATE]
    # Whoever opens another shell tomorrow reads there what to do.
    assert f"new shell, change into the folder of the repository and activate the environment again (`{ACTIVATE}`)" in (
        " ".join(text.split())
    ) or f"new shell, change into the folder of the repository and run `{ACTIVATE}` again" in " ".join(text.split())


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(page, block.code, id=f"{page.name}-{number}")
        for page in [*reading.PAGES, *sorted((reading.ROOT / "docs").glob("*.md"))]
        if page.name != "adding_a_layer.md"  # its blocks are files and parts of files
        for number, block in enumerate(reading.blocks(page.read_text("utf-8")))
        if block.language == "python" and not block.saved_as
    ],
)
def test_every_program_can_be_pasted_into_a_prompt(page: Path, code: str) -> None:
    assert reading.paste_error(code) is None


@pytest.mark.parametrize("page", reading.PAGES, ids=lambda page: page.stem)
def test_no_page_shows_what_differs_from_run_to_run(page: Path) -> None:
    for block in reading.blocks(page.read_text("utf-8")):
        assert " at 0x" not in (block.shown or ""), f"{block.code}: give the result a name, so that it is not printed"
        shown = (block.shown or "").replace("[..., None]", "")  # an index that a message advises
        assert "..." not in shown, f"{block.code}: run make pages"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("class A:\n    x = 1\n\n    y = 2\n", "unexpected indent"),
        ("for i in range(2):\n    print(i)\nprint(3)\n", "invalid syntax"),
        ("x = (1,\n", "does not end"),
    ],
)
def test_a_program_that_a_prompt_would_refuse_is_found(code: str, why: str) -> None:
    assert why in (reading.paste_error(code) or "")


def test_what_a_page_shows_is_compared() -> None:
    assert reading.agrees("loss 0.25\n", "loss 0.25")
    assert reading.agrees("Epoch 1/3   4.1s  2,900 images/s  loss 0.2", "Epoch 1/3  14.7s  812 images/s  loss 0.2")
    for shown, printed in [
        ("loss 0.25", "loss 0.26"),
        ("4.1s loss 0.25", "3.9s loss 0.26"),
        ("4.1s", "4.1 MB"),
        ("...", "anything"),
        ("True", ""),
        ("a  b", "a b"),
    ]:
        assert not reading.agrees(shown, printed), (shown, printed)
    # Another kind of machine rounds differently, and training enlarges that.
    assert reading.agrees("loss 1.602  16%\n───\n", "loss 1.61  17%\n────\n", elsewhere=True)
    # Seconds and speeds may be whatever they are there as well, but have to stand where the page shows them.
    assert reading.agrees("1.3 s  9,308 images/s  loss 1.602", "0.3 s  36,927 images/s  loss 1.61", elsewhere=True)
    for shown, printed in [
        ("1.3 s loss 0.25", "1.3 s loss 0.29"),
        ("1.3 s", "1.3"),
        ("loss 0.25", "loss 0.29"),
        ("(2, 3)", "(2, 4)"),
        ("16%", "20%"),
        ("160", "161"),
    ]:
        assert not reading.agrees(shown, printed, elsewhere=True), (shown, printed)


PAGE = """\
# A page

```python
x = 2
print(x)
```

```text
3
```

Save this as `again.py`:

```python
class Twice:
    def a(self): ...

    def b(self): ...

print("saved")
```

```sh
python again.py
export WORD=kept
```

```text
old
```

```python
print(x + 1)
```
"""


@pytest.fixture
def somebody(tmp_path: Path) -> Newcomer:
    """Return a newcomer who has installed nothing, and uses the Python of the tests."""
    somebody = Newcomer(tmp_path)
    (somebody.folder / "bin" / "python").symlink_to(somebody.folder / "bin" / "python3")
    return somebody


def test_a_page_is_followed_and_written_anew(somebody: Newcomer, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    new = reading.rewritten(PAGE, somebody.follow(page))
    assert "```text\n2\n```" in new
    assert "```text\n3\n```" in new, "the programs of a page share a prompt"
    assert somebody.environment["WORD"] == "kept"
    assert "```text\nsaved\n```" in new
    assert "old" not in new


@pytest.mark.parametrize("bad", ["false", "false && true", "true | false | true", "no-such-command # at all"])
def test_a_command_that_fails_is_found(somebody: Newcomer, tmp_path: Path, bad: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\ntrue\n{bad}\ntrue\n```\n")
    with pytest.raises(PageError, match="ended with"):
        somebody.follow(page)


@pytest.mark.parametrize("bad", ["print(y)", "def f(:", "import warnings; warnings.warn('no')", "raise SystemExit"])
def test_a_program_that_fails_is_found(somebody: Newcomer, tmp_path: Path, bad: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```python\nprint(1)\n{bad}\n```\n")
    with pytest.raises(PageError, match="print"):
        somebody.follow(page)


def test_the_libraries_of_an_extra_are_there_only_after_it_was_installed(tmp_path: Path) -> None:
    bare, tests = (offline.needed("tinycnn", extras, set()) for extras in (set(), {"test"}))
    assert bare >= {"numpy", "numba", "llvmlite", "pillow"}, "what libraries need is among them"
    assert tests - bare >= {"hypothesis", "pytest"}
    assert "tinycnn" not in tests
    offline.link("hypothesis", tmp_path)
    assert (tmp_path / "hypothesis" / "__init__.py").is_file()


def test_the_tour_shows_pictures_of_its_own() -> None:
    assert sorted(reading.pictures(reading.ROOT / "docs" / "tour.md").values()) == ["curves.png", "mistakes.png"]
    assert not reading.pictures(reading.INSTALL)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    newcomer = Newcomer(tmp_path_factory.mktemp("newcomer").resolve())
    newcomer.follow(reading.INSTALL)
    return newcomer


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="the pages use bash")
@pytest.mark.parametrize("page", reading.PAGES, ids=lambda page: page.stem)
def test_a_newcomer_sees_what_the_page_shows(page: Path, newcomer: Newcomer) -> None:
    elsewhere = written_on.elsewhere()
    for block, printed in newcomer.follow(page):
        assert reading.agrees(block.shown or "", printed, elsewhere=elsewhere), (
            f"{page.name}:\n{block.code}\nprints\n{printed}\nbut the page shows\n{block.shown}\nrun make pages"
        )
    for picture, drawn in reading.pictures(page).items():
        with Image.open(picture) as shown, Image.open(newcomer.work / drawn) as found:
            assert shown.size == found.size, picture
            difference = np.asarray(shown.convert("L"), float) - np.asarray(found.convert("L"), float)
        # Elsewhere, other images may be the surest mistakes.
        assert elsewhere or np.abs(difference).mean() < 1, f"{picture} is stale; run make pages"
