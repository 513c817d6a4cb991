"""The page as one file: its modules, styles and data inside it, for a browser that opens it without a server.

From ``file://`` a browser loads no module from another file. So the modules stand in the page as data, from which a
small script (``page/recorded/start.js``) makes them at the start; what one calls ``"./dom.js"`` is ``"tinycnn/dom.js"``
there, a name of an import map. A content security policy allows only scripts with a number that the content itself
gives, and no connection at all.

That number is the SHA-256 of all styles, scripts and data. ``page/recorded/start.js`` computes it anew and refuses a
file that was changed or damaged. ``page/recorded/cut.js``, at the beginning, says so if the end of the file is missing.
"""

import base64
import hashlib
import json
import posixpath
import re
import zlib
from collections.abc import Mapping

#: What stands before the path of a module in its name.
PREFIX = "tinycnn/"
#: The scripts that stand in the page as they are, at its beginning and at its end.
_FIRST, _LAST = ("recorded/cut.js",), ("recorded/sha256.js", "recorded/start.js")
# `import ... from "./x.js"`, `export ... from "./x.js"` and `import "./x.js"` begin a line; `import("./x.js")` may
# stand anywhere.
_IMPORT = re.compile(
    r"""(?P<before>^(?:(?:import|export)\b[^"'();=]*?\bfrom\s*|import\s*)|\bimport\(\s*)"""
    r"""(?P<quote>["'])(?P<name>[^"'\n]*)(?P=quote)""",
    re.MULTILINE,
)
# A comment that has its lines to itself.
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
_COMPUTED = re.compile(r"""\bimport\s*\(\s*(?!["'])\S""")
_STYLESHEET = re.compile(r'<link rel="stylesheet" href="/(?P<name>[^"]+)">')
_MAIN = '<script type="module" src="/main.js"></script>'
_CHARSET = '<meta charset="utf-8">'
_TITLE = "<title>tinycnn explore</title>"
_LOADING = "Loading the network \N{HORIZONTAL ELLIPSIS}"
#: What stands in the page, and in its title, until a script has something better to say, which none does in a file that
#: is badly damaged.
_NOT_OPEN = (
    "Opening the recording. If this text stays, the file is cut off or damaged, or this browser is too old: copy the "
    "file again, or make it again with 'tinycnn explore MODEL --record FILE'."
)
_VISIBLE = 'style="display: block"'
#: What marks the elements whose contents the number is made of; extensions of a browser add others.
_PART = "data-held"
# In a page, a browser does not heed frame-ancestors.
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def renamed(name: str, source: str, names: set[str]) -> str:
    """Return the source of a module with its relative imports replaced by names of the import map.

    Parameters
    ----------
    name : str
        The module's path below the page's folder, such as ``"arithmetic/dense.js"``.
    source : str
    names : set of str
        The paths of all modules.

    Raises
    ------
    ValueError
        If it imports something else than one of these modules, or something that is only known when it runs.

    Examples
    --------
    >>> renamed("arithmetic/dense.js", 'import { linear } from "./linear.js";', {"arithmetic/linear.js"})
    'import { linear } from "tinycnn/arithmetic/linear.js";'
    """
    if computed := _COMPUTED.search(source):
        raise ValueError(f"{name}: what {source[computed.start() :][:40]!r} loads is not known before it runs")

    def with_name(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found["name"]))
        if path not in names or not found["name"].startswith("."):
            raise ValueError(f"{name} imports {found['name']!r}, which is not a module of the page")
        return f"{found['before']}{found['quote']}{PREFIX}{path}{found['quote']}"

    return _IMPORT.sub(with_name, source)


def page_with(data: bytes, files: Mapping[str, str]) -> str:
    """Return the page as one HTML document that holds its files and some data.

    Everything but the page's own texts stands in it as base64, so that nothing in the data can end an element.

    Parameters
    ----------
    data : bytes
        What ``page/recorded.js`` reads.
    files : mapping of str to str
        The texts of the page's files by their paths below its folder; ``index.html`` is the page itself.
    """
    plain = (*_FIRST, *_LAST)
    modules = {name: text for name, text in files.items() if name.endswith(".js") and name not in plain}
    sources = {PREFIX + name: _COMMENT.sub("", renamed(name, text, set(modules))) for name, text in modules.items()}
    code, held = _base64(zlib.compress(json.dumps(sources).encode(), 9)), _base64(data)
    shell = files["index.html"]
    first, last = ("\n" + "".join(files[name] for name in names) for names in (_FIRST, _LAST))
    linked = _STYLESHEET.findall(shell)
    # Some views ask for their style when they are first shown; here there is nobody to ask.
    names = (*linked, *(one for one in files if one.endswith(".css") and one not in linked))
    styles = [f"\n{_COMMENT.sub('', files[name])}" for name in names]
    # Nothing that somebody puts into the file can know this number, because it is made of all that is in it.
    nonce = hashlib.sha256("\0".join([first, *styles, code, held, last]).encode()).hexdigest()
    # The order matters: what was put into the page is not searched again.
    scripts = (
        f'<script type="text/plain" {_PART} id="modules">{code}</script>\n'
        f'<script type="text/plain" {_PART} id="recording">{held}</script>\n'
        f'<script nonce="{nonce}" {_PART}>{last}</script>\n<i id="end" hidden></i>\n'
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(nonce=nonce)}">'
    guard = f'<script nonce="{nonce}" {_PART}>{first}</script>'
    # Where a file ends before its first script does, its title is all that there is to be seen; that script hides it.
    begin = f"{_CHARSET}\n<title {_VISIBLE}>{_NOT_OPEN}</title>\n{policy}\n{guard}"
    page = _once(_once(shell, _TITLE, ""), _CHARSET, begin)
    page = _once(page, "<head>", f"<head {_VISIBLE}>")
    page = _once(_once(_STYLESHEET.sub("", page), _MAIN, ""), _LOADING, _NOT_OPEN)
    sheets = "".join(f'<style nonce="{nonce}" {_PART}>{text}</style>\n' for text in styles)
    page = _once(page, "</head>", f"{sheets}</head>")
    return _once(page, "</body>", f"{scripts}</body>")


def _once(text: str, old: str, new: str) -> str:
    """Return a text with a part of it replaced that stands there exactly once."""
    before, after = text.split(old)
    return f"{before}{new}{after}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
