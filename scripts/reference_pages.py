"""The pages that are made from the code: docs/settings.md, docs/commands.md and docs/reasons.md.

    python scripts/reference_pages.py [FOLDER]      writes them into docs/, or into FOLDER

A setting, flag or code without a meaning in the code is refused, so that none can be added without one.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from capgen.cli.main import app
from capgen.maskcaptioner.settings import StageSettings, TrainSettings
from capgen.pipeline.checks import CHECKS
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.reasons import LEFT_OUT, REASONS, ReasonMeaning
from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.settings import Settings, TryAgain, WorldSettings
from capgen.pipeline.sources import SOURCES

ROOT = Path(__file__).resolve().parents[1]
_IN_SENTENCES = re.compile(r"((?:``\w+``(?:,\s+| and )?)+):\s")
_IN_ARGS = re.compile(r"^    ((?:\w+, )*\w+): ", re.MULTILINE)
_MADE = "<!-- made by scripts/reference_pages.py from the code: do not edit -->\n"


def markdown(text: str) -> str:
    """Text of a docstring as Markdown on one line of a table."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def meanings(cls: type) -> tuple[str, dict[str, str]]:
    """The introduction of a class's docstring, and what it says of each field."""
    doc = inspect.getdoc(cls) or ""
    body, _, args = doc.partition("\nArgs:\n")
    fields = set(getattr(cls, "model_fields", ()))
    found: dict[str, str] = {}
    told = [(set(re.findall(r"``(\w+)``", match[1])), match) for match in _IN_SENTENCES.finditer(body)]
    told = [(names, match) for names, match in told if names <= fields]
    ends = [*(match.start() for _, match in told[1:]), len(body)][: len(told)]
    for (names, match), end in zip(told, ends, strict=True):
        found |= dict.fromkeys(names, body[match.end() : end])
    intro = body[: told[0][1].start()] if told else body
    args = re.split(r"\n\n(?=\S)", args)[0]
    pieces = _IN_ARGS.split(args)
    for names, text in zip(pieces[1::2], pieces[2::2], strict=True):
        found |= dict.fromkeys(names.split(", "), text)
    return markdown(intro), {name: markdown(text) for name, text in found.items()}


def shown_default(value: Any) -> str:
    """A default as TOML says it."""
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "{}" if value == type(value)() else "`" + str(value.model_dump(exclude_defaults=True)) + "`"
    if isinstance(value, tuple | list):
        inside = ", ".join(shown_default(one).strip("`") for one in value)
        return f"`[{inside}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`" if value != {} else "`{}`"


def shown_type(schema: Mapping[str, Any]) -> str:
    """A type of a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(shown_type(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return " or ".join(f'`"{one}"`' for one in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "table")
    if kind == "array":
        inside = schema.get("items") or (schema.get("prefixItems") or [{"type": "anything"}])[0]
        return f"list of {shown_type(inside)}"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    words = names.get(kind, "table")
    for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")):
        if key in schema:
            words += f" {sign} {schema[key]:,}" if isinstance(schema[key], int) else f" {sign} {schema[key]:g}"
    return "path" if schema.get("format") == "path" else words


def table(rows: Iterator[tuple[str, str, str, str]] | list[tuple[str, str, str, str]]) -> list[str]:
    """A table of settings."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return [*lines, *(f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in rows), ""]


def rows_of_table(cls: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """The settings of a table."""
    told = meanings(cls)[1]
    schema = cls.model_json_schema()
    for name, field in cls.model_fields.items():
        own = _resolved(schema["properties"][name], schema)
        meaning = markdown(field.description) if field.description else told.get(name)
        if meaning is None:
            raise SystemExit(f"{cls.__name__}.{name} has no meaning in the class's docstring: write ``{name}``: ...")
        yield name, shown_type(own), _default(field), meaning


def _resolved(one: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in one:
        return _resolved(schema["$defs"][one["$ref"].rpartition("/")[2]], schema)
    found = dict(one)
    for key in ("items",):
        if key in found:
            found[key] = _resolved(found[key], schema)
    if "anyOf" in found:
        found["anyOf"] = [_resolved(part, schema) for part in found["anyOf"]]
    return found


def _default(field: FieldInfo) -> str:
    return "**required**" if field.is_required() else shown_default(field.get_default(call_default_factory=True))


def rows_of_plugin(cls: type, leave_out: frozenset[str]) -> Iterator[tuple[str, str, str, str]]:
    """The options of a plug-in."""
    told = meanings(cls)[1]
    for field in dataclasses.fields(cls):
        if field.name in leave_out:
            continue
        meaning = told.get(field.name)
        if meaning is None:
            raise SystemExit(f"{cls.__name__}.{field.name} has no meaning in the class's docstring")
        value = field.default
        if value is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        yield field.name, _annotation(str(field.type)), shown_default(value), meaning


def _annotation(text: str) -> str:
    """A Python annotation in words."""
    words = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}
    named = {"planner.DropOrKeep": '`"drop"` or `"keep"`', "ShowOrDrop": '`"show"` or `"drop"`'}
    named |= {"mask_folders.ShowOrDrop": '`"show"` or `"drop"`'}
    if text in named:
        return named[text]
    if text.startswith("Literal["):
        return " or ".join(f'`"{one}"`' for one in re.findall(r"'([^']+)'", text))
    if text.startswith(("dict", "Mapping")):
        return "table"
    sequence = re.match(r"(?:Sequence|tuple)\[(\w+)", text)
    if sequence:
        return f"list of {words.get(sequence[1], sequence[1])}" + (" or text" if text.endswith("| str") else "")
    return words.get(text.removesuffix(" | None"), text)


def settings_page() -> str:
    """docs/settings.md."""
    lines = ["# Settings", _MADE]
    lines += [
        "Every setting with its type, its default and what it does. A run's settings come from a **pipeline file** "
        "(TOML), by default the one in `pipelines/` that has the name of `--dataset`. Later layers win:",
        "",
        "1. the defaults on this page;",
        "2. the pipeline file: `--dataset NAME` or `--pipeline FILE.toml`;",
        "3. the profile of the model's family, a file in `pipelines/models/` ([models](models.md));",
        "4. a `capgen.toml` in the model's own folder;",
        "5. flags of the command, such as `--root` and `--model`;",
        "6. `--set table.key=value`, as often as you like: `--set sampling.temperature=0.7`.",
        "",
        "A key that does not exist is refused, with the closest one that does. `OUT/plan.json` records what a run "
        "used. A table `[x]` in the file is `x.` in front of the key in `--set`; lists are written as in TOML: "
        '`--set \'checks.names=["empty", "length"]\'`.',
        "",
        "## The file itself",
        "",
        *table([row for row in rows_of_table(Settings) if not _is_table(Settings, row[0])]),
    ]
    for name, field in Settings.model_fields.items():
        if _is_table(Settings, name):
            lines += _section(f"[{name}]", field.annotation)
    lines += _section("Steps of `tries.again` and `distinct.again`", TryAgain)
    lines += _section("[source.world]", WorldSettings)
    plugins = (
        ("Engines", "`engine.options.KEY`, for the engine that `engine.name` names", ENGINES, frozenset()),
        (
            "Sources",
            "`source.KEY`, for the source of the pipeline file",
            SOURCES,
            frozenset({"root", "split", "dataset", "bounds"}),
        ),
        ("Checks", "`checks.options.CHECK.KEY`; the other checks have no options", CHECKS, frozenset()),
        (
            "Highlights",
            'in a prompt file: `{ name = "box", color = "red" }` ([prompts](prompts.md))',
            HIGHLIGHTS,
            frozenset(),
        ),
    )
    for title, where, registry, leave_out in plugins:
        lines += [f"## {title}", "", f"Options: {where}.", ""]
        for name in registry:
            cls = registry.load(name)
            options = [*rows_of_plugin(cls, leave_out)]
            if options:
                lines += [f"### `{name}`", "", f"{meanings(cls)[0].split('. Source')[0]}", "", *table(options)]
    lines += [
        "## Training files",
        "",
        "`capgen train FILE.toml` reads these tables; the shipped files are in `pipelines/train/` "
        "([training](training.md)). The configuration of the model itself is laid over with `model.options`.",
        "",
    ]
    for name, field in TrainSettings.model_fields.items():
        if name == "stages":
            lines += _section("[stages.NAME]", StageSettings)
        elif _is_table(TrainSettings, name):
            lines += _section(f"[{name}]", field.annotation)
    schedule = StageSettings.model_fields["schedule"].annotation
    return "\n".join([*lines, *_section("[stages.NAME.schedule]", schedule)])


def _is_table(cls: type[BaseModel], name: str) -> bool:
    kind = cls.model_fields[name].annotation
    return name == "stages" or (inspect.isclass(kind) and issubclass(kind, BaseModel))


def _section(title: str, cls: Any) -> list[str]:
    return [f"### {title if '`' in title else f'`{title}`'}", "", meanings(cls)[0], "", *table(rows_of_table(cls))]


def commands_page() -> str:
    """docs/commands.md."""
    lines = [
        "# Commands",
        _MADE,
        "Every command with its arguments and flags, as `capgen COMMAND --help` says them.",
        "",
    ]
    root = typer.main.get_command(app)
    for name, command in sorted(_commands(root, "capgen")):
        text = inspect.cleandoc(command.help or "")
        lines += [f"## `{name}`", "", " ".join(text.split()), ""]
        rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
        if rows:
            lines += ["| | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{name} {key}")
        elif not command.hidden:
            yield f"{name} {key}", command


def _parameter(one: Any) -> str:
    names = (
        "/".join(one.opts + one.secondary_opts)
        if one.param_type_name == "option"
        else (one.metavar or one.name.upper())
    )
    value = one.default() if callable(one.default) else one.default
    default = "" if value in (None, False, (), []) or one.required else f"`{_plain(value)}`"
    if not one.help:
        raise SystemExit(f"{one.name} has no help")
    return f"| `{names}`{' **required**' if one.required else ''} | {default} | {markdown(one.help)} |"


def _plain(value: Any) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)


def reasons_page() -> str:
    """docs/reasons.md."""
    lines = [
        "# Reason codes",
        _MADE,
        "An object that has no caption in the release has a reason: a short code in the column `reasons` of "
        "`OUT/candidates/`, in `dropped` of the released `media`, in `capgen status`, in the data card and in "
        "`capgen report`. The first code of an object is the one that is counted. `message` beside it is a sentence "
        "about that very object. `capgen retry OUT --reason CODE` asks again for the objects of a code, once what "
        "caused it is mended.",
        "",
        "## Dropped by a check",
        "",
        "Something was answered, and it is no caption. [Checks](checks.md) has examples of each, and honest captions "
        "that stay.",
        "",
        "| code | the check |",
        "|---|---|",
        *(f"| `{name}` | {meanings(CHECKS.load(name))[0]} |" for name in CHECKS),
        "",
    ]
    for title, text, part in (
        ("Dropped by the release", "The caption is well formed, and the release leaves it out.", "release"),
        ("Failed: pictures and masks", "The object was never asked for, because it cannot be shown.", "picture"),
        ("Failed: annotations", "The source says something of the object that makes no sense.", "annotation"),
        ("Failed: asking", "The engine gave no answer, `run.attempts` times.", "asking"),
    ):
        lines += [f"## {title}", "", text, "", *_codes({c: m for c, m in REASONS.items() if m.part == part})]
    lines += [
        "## Left out when planning",
        "",
        "These annotations are no objects of a run and have no row. `capgen status` and `capgen report` count them.",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| `{code}` | {text} |" for code, text in LEFT_OUT.items()),
    ]
    return "\n".join([*lines, ""])


def _codes(found: Mapping[str, ReasonMeaning]) -> list[str]:
    rows = [f"| `{code}` | {one.meaning} | {one.example} | {one.remedy} |" for code, one in found.items()]
    return ["| code | meaning | for example | what to do |", "|---|---|---|---|", *rows, ""]


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "reasons.md": reasons_page}


def main() -> None:
    """Write the pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    for name, page in PAGES.items():
        (folder / name).write_text(page().rstrip("\n") + "\n", "utf-8")


if __name__ == "__main__":
    main()
