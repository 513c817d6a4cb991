"""The page becomes one file that loads nothing, and into which nothing can be smuggled."""

import hashlib
import json
import re
import zlib
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from recordings import network, recording_of, session_of

from tinycnn import Sequential, layers
from tinycnn.explore.inlining import _COMMENT, PREFIX, page_with, renamed
from tinycnn.explore.recording import page_files

HOSTILE = "</script><script>alert(1)</script><!-- <script> ]]> </style> \u2028 \" ' ${1} `"
#: Names of layers and models have no slash, but they are hostile enough.
NAME = "<script>alert(1)<!-- <script> ]]> \" ' ${1} `"


class Elements(HTMLParser):
    """The elements of a page with their attributes and, of scripts and styles, their texts."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), ""))

    def handle_data(self, data):
        if self.found and self.found[-1][0] in ("script", "style"):
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def of(self, name):
        return [(attributes, text) for tag, attributes, text in self.found if tag == name]


def modules():
    """Return all modules; the scripts that stand in the page as they are are none."""
    plain = {f"recorded/{name}.js" for name in ("cut", "sha256", "start")}
    return {name: text for name, text in page_files().items() if name.endswith(".js") and name not in plain}


def test_every_import_of_every_module_gets_a_name_of_the_map():
    """Whatever looks like an import in a rewritten module names one of the modules."""
    names = set(modules())
    seen = 0
    for name, text in modules().items():
        source = renamed(name, text, names)
        code = "\n".join(line for line in source.splitlines() if not re.match(r"\s*(//|\*|/\*)", line))
        for found in re.findall(r"""(?:\}\s*from|\bimport|\*\s*from)\s*\(?\s*["']([^"']*)["']""", code):
            assert found.removeprefix(PREFIX) in names, (name, found)
            seen += 1
        assert not re.search(r"""["']\.{1,2}/""", code), name
        assert len(source.splitlines()) == len(text.splitlines())
    assert seen > 50


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('import { a } from "./b.js";', 'import { a } from "tinycnn/x/b.js";'),
        ("import {\n  a,\n  c,\n} from './b.js';", "import {\n  a,\n  c,\n} from 'tinycnn/x/b.js';"),
        ('import "./b.js";', 'import "tinycnn/x/b.js";'),
        ('import * as all from "../c.js";', 'import * as all from "tinycnn/c.js";'),
        ('export { a } from "./b.js";', 'export { a } from "tinycnn/x/b.js";'),
        ('export * from "./b.js"', 'export * from "tinycnn/x/b.js"'),
        ('  f(() => import("./b.js"));', '  f(() => import("tinycnn/x/b.js"));'),
        ('(await import( "./b.js" )).a', '(await import( "tinycnn/x/b.js" )).a'),
        ('say("Image from", "./b.js", "import");', 'say("Image from", "./b.js", "import");'),
        ('export const from = "./b.js";', 'export const from = "./b.js";'),
        ('export function f(a) { return "./b.js"; }', 'export function f(a) { return "./b.js"; }'),
    ],
)
def test_imports_are_renamed_and_nothing_else(source, expected):
    assert renamed("x/a.js", source, {"x/b.js", "c.js", "x/a.js"}) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('import "./no.js";', "x/a.js imports './no.js', which is not a module of the page"),
        ('import "https://example.org/b.js";', "which is not a module"),
        ('import "b.js";', "which is not a module"),
        ('import "../../b.js";', "which is not a module"),
        ("import(`./${name}.js`)", "is not known before it runs"),
        ("import(name)", "is not known before it runs"),
    ],
)
def test_what_cannot_be_put_into_the_file_is_an_error(source, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        renamed("x/a.js", source, {"b.js", "x/b.js"})


def hostile_page(folder):
    model = Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Flatten(name=NAME),
            layers.Dense(4, activation="softmax"),
        ],
        name=NAME,
    )
    return recording_of(session_of(model, classes=(HOSTILE, "b", "c", "d")), folder).read_text(encoding="utf-8")


def test_a_hostile_name_ends_no_element(tmp_path):
    text = hostile_page(tmp_path)
    assert "alert(1)" not in text
    page = Elements(text)
    assert [attributes.get("id") for attributes, _ in page.of("script")] == [None, "modules", "recording", None]
    assert page.of("script")[2][1].isascii()
    assert HOSTILE not in text
    assert NAME not in text


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path):
    text = recording_of(session_of(network()), tmp_path).read_text(encoding="utf-8")
    page = Elements(text)
    metas = {attributes.get("http-equiv"): attributes for attributes, _ in page.of("meta")}
    policy = metas["Content-Security-Policy"]["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    nonce = rules["script-src"].removeprefix("'nonce-").removesuffix("'")
    assert re.fullmatch("[0-9a-f]{64}", nonce)
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # The policy comes before everything that it is about.
    assert [tag for tag, _, _ in page.found][:5] == ["html", "head", "meta", "title", "meta"]
    for tag, attributes, _ in page.found:
        assert "src" not in attributes, tag
        assert not attributes.get("href", "#").startswith(("/", "http", ".")), tag
        assert not [name for name in attributes if name.startswith("on")]
    run = [attributes for attributes, _ in page.of("script") if attributes.get("type") != "text/plain"]
    own = {"nonce": nonce, "data-held": None}
    assert run == [own, own]
    assert [attributes for attributes, _ in page.of("style")] == [own] * len(page.of("style"))
    held = re.findall(r"<(?:script|style)[^>]* data-held[^>]*>(.*?)</(?:script|style)>", text, re.DOTALL)
    assert hashlib.sha256("\0".join(held).encode()).hexdigest() == nonce


def test_all_modules_and_styles_are_in_the_file():
    files = page_files()
    page = Elements(page_with(b"data", files))
    (code, _), (held, data) = [(text, attributes) for attributes, text in page.of("script")][1:3], page.of("script")[2]
    sources = json.loads(zlib.decompress(b64decode(code[0])))
    assert set(sources) == {PREFIX + name for name in modules()}
    assert b64decode(data) == b"data"
    assert held == {"type": "text/plain", "id": "recording", "data-held": None}
    linked = re.findall(r'href="/([^"]+\.css)"', files["index.html"])
    styles = [text.strip() for _, text in page.of("style")]
    assert styles[: len(linked)] == [files[name].strip() for name in linked]
    assert sorted(styles) == sorted(text.strip() for name, text in files.items() if name.endswith(".css"))


def test_the_number_that_lets_scripts_run_depends_on_all_of_the_content():
    files = page_files()

    def nonce(data, changed):
        return re.search("'nonce-([0-9a-f]+)'", page_with(data, files | changed)).group(1)

    changes = [(b"a", {}), (b"b", {}), (b"a", {"style.css": "p {}"}), (b"a", {"dom.js": "export const a = 1;"})]
    assert len({nonce(*change) for change in changes}) == len(changes)
    assert nonce(b"a", {}) == nonce(b"a", {})
    assert hashlib.sha256(b"a").hexdigest() != nonce(b"a", {})


def test_only_comments_that_have_their_lines_to_themselves_are_left_out():
    source = (
        "// one\n  /** two\n   * lines */\nlet a = 1; // stays\n/* stays */ let b = 2;\n/* gone */\nlet c = 'x//y';\n"
    )
    assert _COMMENT.sub("", source) == ("let a = 1; // stays\n/* stays */ let b = 2;\nlet c = 'x//y';\n")
