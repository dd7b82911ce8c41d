"""The computed parts of the site: a hook of MkDocs, and an extension of the tool that reads the API."""

import os
import re
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import Any

from griffe import Attribute, ExprCall, Extension
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from vsq.cli.main import COMMANDS, parser

_INTRODUCTION = """\
# Commands

Exit codes: 0 is success, 1 a check that failed, 2 bad input or a full disk, 130 an interrupt, 141 an output that nobody
reads. `python -m vsq` is the same as `vsq`.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference of commands."""
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Drop the roles that Sphinx would read in docstrings, as in ``:class:`Name```."""
    return re.sub(r":(?:attr|class|data|func|meth|mod):(?=<code>)", "", html)


def commands() -> str:
    """Return the help of ``vsq`` and of each command, in Markdown."""
    os.environ["COLUMNS"] = "110"  # argparse folds its lines to the terminal
    helps = {" ".join(["vsq", *name]): _help(*name) for name in [(), *((name,) for name in COMMANDS)]}
    return "\n".join([_INTRODUCTION, *(f"## {name}\n\n```text\n{text}```\n" for name, text in helps.items())])


def _help(*command: str) -> str:
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        parser().parse_args([*command, "--help"])
    return text.getvalue()


class OptionDefaults(Extension):
    """Show the default of an option of a configuration, instead of the call that declares it."""

    def on_attribute_instance(self, *, attr: Attribute, **kwargs: Any) -> None:
        """Replace ``option(default, ...)`` by its default."""
        if isinstance(attr.value, ExprCall) and str(attr.value.function) == "option":
            attr.value = attr.value.arguments[0]
