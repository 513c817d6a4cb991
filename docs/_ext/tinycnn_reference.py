"""Make the reference from the package, so that everything public has a place without anybody having to add it.

The extension defines these directives for reStructuredText pages in ``reference/``:

``.. registry:: tinycnn.layers.LAYERS``
    A table of a registry (a dict of names to classes), followed by a full description of each of its classes.
``.. public:: tinycnn.layers``
    Everything else that a module offers.
``.. files-of:: tinycnn.kernels.reference``
    A section for each file of a package, with its docstring and its functions.
``.. everything-else::``
    A section for each module that no page of the reference names.
``.. documented-networks::``
    The networks of ``tinycnn.models``, with their counts.

A module offers what ``__all__`` lists; if it has no ``__all__``, it offers what it defines under names without a
leading underscore. If two modules offer the same thing, it is described under the shortest path:
``tinycnn.Sequential``, not ``tinycnn.sequential.Sequential``.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import tinycnn

REFERENCE = Path(__file__).parent.parent / "reference"
# The backend that needs a machine of its own cannot be imported on others; its names are those of the reference.
# The folders of the cpu backend hold what its kernels are made of, and no kernels.
LEFT_OUT = re.compile(r"\.cuda(\.|$)|\.__main__$|\.kernels\.cpu\.(machine|convolution|fused)(\.|$)")


@functools.cache
def modules() -> tuple[str, ...]:
    """Return the names of all public modules, the shortest paths first, and those under Keras's names last."""
    kernels = importlib.import_module("tinycnn.kernels")
    found = {"tinycnn", "tinycnn.kernels"}
    for package in (tinycnn, kernels):
        found |= {module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")}
    public = (name for name in found if not re.search(r"\._", name) and not LEFT_OUT.search(name))
    return tuple(sorted(public, key=lambda name: (name.startswith("tinycnn.keras"), name.count("."), name)))


def offered(name: str) -> dict[str, object]:
    """Return what a module offers, by name, except other modules."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    if names is None:
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", None) == name)
        names = [key for key in own if key[0] != "_" and is_code(getattr(module, key))]
        names += [key for key in constants(name) if key in {path.rpartition(".")[2] for path in named("registry")}]
        names += [key for key, text in constants(name).items() if text and key not in names]
    result = {key: getattr(module, key) for key in names}
    return {key: value for key, value in result.items() if not isinstance(value, ModuleType) and key[:2] != "__"}


def is_code(value: object) -> bool:
    """Return whether ``value`` is a class or a function."""
    return inspect.isclass(value) or inspect.isroutine(value)


def constants(name: str) -> dict[str, str]:
    """Return the constants of a module, with the text of the ``#:`` comments above them."""
    source = Path(importlib.import_module(name).__file__ or "").read_text("utf-8")  # inspect refuses empty files
    found = re.findall(r"((?:^#: .*\n)*)^([A-Z][A-Z0-9_]+)(?::[^=\n]+)? = ", source, re.MULTILINE)
    return {key: re.sub(r"^#: ", "", text, flags=re.MULTILINE) for text, key in found}


@functools.cache
def homes() -> dict[int, str]:
    """Return the path under which each class and function is described, by the object's identity."""
    result: dict[int, str] = {}
    for module in modules():
        for key, value in offered(module).items():
            if is_code(value) and value.__name__ == key:
                result.setdefault(id(value), f"{module}.{key}")
    return result


@functools.cache
def pages() -> str:
    """Return the text of all pages of the reference."""
    return "\n".join(path.read_text("utf-8") for path in sorted(REFERENCE.glob("*.rst")))


def named(directive: str) -> list[str]:
    """Return the arguments with which a directive is used, over all pages."""
    return re.findall(rf"^\.\. {directive}:: (\S+)", pages(), re.MULTILINE)


def modules_elsewhere() -> list[str]:
    """Return the modules that have something to describe and have no page of their own."""
    own = set(named("public")) | {name.rpartition(".")[0] for name in named("registry")}
    packages = tuple(f"{name}." for name in named("files-of"))
    rest = (name for name in modules() if name not in own and not f"{name}.".startswith(packages))
    return [name for name in rest if described_in(name)]


def described_in(module: str) -> list[tuple[str, object]]:
    """Return what is described in a module: everything that it offers and that no shorter path offers."""
    return [
        (key, value)
        for key, value in offered(module).items()
        if not is_code(value) or homes()[id(value)] == f"{module}.{key}" or value.__name__ != key
    ]


def first_line(thing: object) -> str:
    """Return the first sentence of a docstring."""
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.)\s(?=[A-Z])", paragraph)[0]


def entry(module: str, key: str, value: object) -> str:
    """Return the directive that tells autodoc about one name."""
    path = f"{module}.{key}"
    if inspect.isclass(value) and value.__name__ == key:
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        # The docstrings of a NamedTuple's fields say nothing.
        fields = [*getattr(value, "_fields", ())] if issubclass(value, tuple) else []
        if dataclasses.is_dataclass(value):
            fields += [field.name for field in dataclasses.fields(value)]
        fields += [name for name in vars(value) if _is_of_scikit_learn(getattr(value, name, None))]
        exclude = f"\n   :exclude-members: {', '.join(fields)}" if fields else ""
        return f".. {kind}:: {path}\n   :members:{exclude}\n"
    if inspect.isroutine(value) and value.__name__ == key:
        return f".. autofunction:: {path}\n"
    if is_code(value):
        text = f"This is another name of :class:`{value.__name__} <{homes()[id(value)]}>`."
    else:
        registry = "The table above as a dict of names to classes."
        text = constants(module).get(key) or (registry if isinstance(value, dict) else f"``{value!r}``")
    return f".. py:data:: {key}\n   :module: {module}\n\n{textwrap.indent(text, '   ')}\n"


def _is_of_scikit_learn(member: object) -> bool:
    """Return whether scikit-learn has put a method into a class; its docstring refers to scikit-learn's own pages."""
    return str(getattr(member, "__module__", "")).startswith("sklearn.")


def entries(module: str, skip: frozenset[int] = frozenset()) -> str:
    """Return the directives that tell autodoc about a module."""
    return "\n".join(entry(module, key, value) for key, value in described_in(module) if id(value) not in skip)


def heading(text: str, line: str = "-") -> str:
    """Return the title of a section."""
    return f"{text}\n{line * len(text)}\n\n"


def beginning(module: str) -> str:
    """Return the beginning of a module's description.

    A module that has the same name as a function beside it is not indexed, because the function is.
    """
    package, _, name = module.rpartition(".")
    hidden = package and inspect.isroutine(getattr(importlib.import_module(package), name, None))
    return (
        f".. py:module:: {module}\n" + ("   :no-index:\n" if hidden else "") + f"\n.. py:currentmodule:: {module}\n\n"
    )


def module_text(module: str) -> str:
    """Return a module's docstring."""
    return inspect.getdoc(importlib.import_module(module)) or ""


class Generated(SphinxDirective):
    """Base of directives whose text is made here and parsed as if it stood in the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        for module in filter(None, (importlib.import_module(name).__file__ for name in modules())):
            self.env.note_dependency(module)
        return self.parse_text_to_nodes(self.text(), allow_section_headings=True)

    def text(self) -> str:
        raise NotImplementedError


class Registry(Generated):
    """The directive ``registry``: a table of names, followed by the classes."""

    def text(self) -> str:
        module, _, name = self.arguments[0].rpartition(".")
        registry = getattr(importlib.import_module(module), name)
        lines = [
            f".. py:currentmodule:: {module}",
            "",
            ".. list-table::",
            "   :header-rows: 1",
            "   :widths: auto",
            "",
            "   * - Name",
            "     - What it is",
        ]
        seen: set[int] = set()
        for key, value in sorted(registry.items(), key=lambda item: item[0].lower()):
            shown = f":class:`~{homes()[id(value)]}`"
            lines += [f"   * - {shown}" + ("" if key == value.__name__ else f' ``"{key}"``')]
            lines += [f"     - {first_line(value)}"]
        table = "\n".join(lines) + "\n\n"
        for value in registry.values():
            if id(value) not in seen:
                seen.add(id(value))
                home, _, key = homes()[id(value)].rpartition(".")
                table += entry(home, key, value) + "\n"
        return table


class Public(Generated):
    """The directive ``public``: what a module offers in addition to its registry."""

    def text(self) -> str:
        module = self.arguments[0]
        there = [name.rpartition(".")[2] for name in named("registry") if name.rpartition(".")[0] == module]
        skip = {id(value) for name in there for value in getattr(importlib.import_module(module), name).values()}
        return beginning(module) + entries(module, frozenset(skip))


class FilesOf(Generated):
    """The directive ``files-of``: a section for each file of a package."""

    def text(self) -> str:
        package = self.arguments[0]
        text = beginning(package)
        for module in modules():
            if module.startswith(f"{package}."):
                offers = vars(importlib.import_module(package))
                functions = offered(module).items()
                listed = [(package if key in offers else module, key, value) for key, value in functions]
                text += heading(module.rpartition(".")[2]) + beginning(module) + module_text(module)
                text += "\n\n" + "\n".join(entry(*one) for one in listed) + "\n\n"
        return text


class EverythingElse(Generated):
    """The directive ``everything-else``: the modules that no page names."""

    required_arguments = 0

    def text(self) -> str:
        return "\n\n".join(
            heading(name) + beginning(name) + module_text(name) + "\n\n" + entries(name) for name in modules_elsewhere()
        )


class DocumentedNetworks(Generated):
    """The directive ``documented-networks``: one table per document, made from the recipes."""

    required_arguments = 0

    def text(self) -> str:
        from tinycnn import models

        text, document = "", None
        for recipe in map(models.recipe, models.names()):
            if recipe.document != document:
                document = recipe.document
                text += "\n" + heading(document)
                text += ".. list-table::\n   :header-rows: 1\n   :widths: auto\n\n"
                cells = ("Name", "Data", "Layers", "Parameters", "of them trained", "Epochs", "Documented accuracy")
                text += row(*cells)
            accuracy = recipe.documented_accuracy
            shown = "—" if accuracy is None else f"{accuracy:.4g}"
            layers = len(models.build(recipe.name).layers)
            params = recipe.params
            text += row(
                f"``{recipe.name}``",
                recipe.data,
                layers,
                f"{params.total:,}",
                f"{params.trainable:,}",
                recipe.epochs,
                shown,
            )
        return text


def row(*cells: object) -> str:
    """Return a row of a list-table."""
    return "\n".join(("   * - " if i == 0 else "     - ") + str(cell) for i, cell in enumerate(cells)) + "\n"


# Links between docstrings ---------------------------------------------------------------------------------------


def find(target: str, module: str | None, cls: str | None) -> list[str] | None:
    """Return the paths under which a short name in a docstring may be described, the likeliest first.

    The result is None if nothing has this name.
    """
    around = [f"{module}.{cls}"] if module and cls else []
    while module:
        around.append(module)
        module = module.rpartition(".")[0]
    for base in (*around, "tinycnn.layers", "tinycnn", "tinycnn.kernels", ""):
        steps = [*base.split("."), *target.split(".")] if base else target.split(".")
        try:
            thing: object = importlib.import_module(steps[0])
        except ImportError:
            continue
        places = []
        for index, step in enumerate(steps[1:], 2):
            owner = thing
            try:
                thing = getattr(owner, step)
            except AttributeError:
                with contextlib.suppress(ImportError):
                    thing = importlib.import_module(".".join(steps[:index]))
                if thing is owner:
                    break
            if index == len(steps) and inspect.isclass(owner):  # A method may be inherited from a base class.
                places += [f"{homes()[id(one)]}.{step}" for one in owner.__mro__ if id(one) in homes()]
        else:
            return [homes().get(id(thing), ".".join(steps)), *places]
    return None


def resolve(app, env, node, content):
    """Link a short name (``Layer``, ``reference.conv2d_forward``) to the place where it is described."""
    if node.get("refdomain") != "py":
        return None
    places = find(node["reftarget"], node.get("py:module"), node.get("py:class"))
    objects = env.domains["py"].objects
    for place in places or ():
        if place in objects:
            known = objects[place]
            return make_refnode(app.builder, node["refdoc"], known.docname, known.node_id, content, place)
    # A name that exists but has no description belongs to another package or is an attribute; it stays plain text.
    return None if places is None else content


# Pages that are read both on the site and in the repository -----------------------------------------------------


def lead_within_the_site(app, docname, source):
    """Turn links to files at the repository's root into links to their pages, and links to folders into plain text."""
    root, here = REFERENCE.parent.parent, Path(app.srcdir, docname).parent

    def moved(match: re.Match) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = (here / target).resolve()
        page = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
        if path.parent == root and path.name in page:
            up = "../" * (len(here.relative_to(app.srcdir).parts))
            return f"[{text}]({up}{page[path.name]}{anchor})"
        return text if path.is_dir() else match[0]

    source[0] = re.sub(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)", moved, source[0])


def list_other_pages(app, docname, source):
    """Replace ``(other pages)`` on the first page by all pages that no list names: a new page needs no entry."""
    if docname == "index":
        named_there = set(re.findall(r"^[\w/]+$", source[0], re.MULTILINE)) | {"index"}
        others = sorted(name for name in app.env.found_docs - named_there if not name.startswith("reference/"))
        source[0] = source[0].replace("(other pages)", "\n".join(others))


def setup(app):
    """Register the directives and the handlers with Sphinx."""
    for name, directive in {
        "registry": Registry,
        "public": Public,
        "files-of": FilesOf,
        "everything-else": EverythingElse,
        "documented-networks": DocumentedNetworks,
    }.items():
        app.add_directive(name, directive)
    app.connect("missing-reference", resolve)
    app.connect("source-read", list_other_pages)
    app.connect("source-read", lead_within_the_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
