"""The data card: YAML that tells ``datasets`` what to load, and a page for people filled with the release's counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from capgen.dataset.quality.calibration import Calibration
from capgen.dataset.quality.counts import QualityCounts
from capgen.dataset.quality.judge_scores import JudgeCounts
from capgen.dataset.quality.section import quality_values
from capgen.dataset.release_record import DedupRules, ReviewCounts
from capgen.dataset.schema import CAPTIONS, MEDIA, SCHEMA_VERSION, describe
from capgen.dataset.stats import Origin, Stats
from capgen.dataset.types import Kind
from capgen.display import markdown, markdown_with_code, plain
from capgen.errors import UserError
from capgen.resources import resource, resource_dir

_TOP_CATEGORIES = 20
_TASKS: Mapping[Kind, tuple[str, ...]] = {
    "image": ("image-to-text", "image-segmentation", "object-detection"),
    "video": ("video-text-to-text", "image-segmentation", "object-detection"),
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class CardInfo:
    """What a card says that cannot be counted.

    Args:
        template: name of a file in ``data_cards/`` (without ``.md``), or a path.
        license_captions: the Hub's identifier of the licence of what is released, such as ``cc-by-4.0``.
        license_source: a sentence about the licences of the pictures and annotations.
        checks, advisory: the checks that drop captions, and those that only advise.
        threshold: of the check ``unsure``, where it ran.
        calibration: from which confidence on captions are right as often as wanted; None where that is not known.
        judges: what ``capgen judge`` says of the captions, by method.
        model_terms: the licence of the model's family, and what captions made with it may be used for; None where no
            model wrote them or nothing is known of it.
    """

    template: str
    title: str
    dataset: str
    kind: Kind
    license_source: str
    license_captions: str
    checks: tuple[str, ...] = ()
    advisory: tuple[str, ...] = ()
    threshold: float | None = None
    calibration: Calibration | None = None
    judges: tuple[JudgeCounts, ...] = ()
    model_terms: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """What a card says of the release's files.

    Args:
        globs: the pattern of the files of each config and split.
        schemas: the schema of each config.
        picture: what the default config's ``image`` shows: ``crops`` or ``media``; None where there is none.
        inputs: digest of everything that the release is made of. ``datasets`` keeps what it has loaded by the path and
            by these lines of the card alone: without it, it would go on giving the rows of an older release in OUT.
        warning: a sentence that the card opens with; see ``Release``.
        reviews: what people's judgements did; None where there were none.
    """

    globs: Mapping[str, Mapping[str, str]]
    schemas: Mapping[str, pa.Schema]
    fingerprint: str
    embedded: bool
    dedup: DedupRules | None
    keep_alike: bool = True
    inputs: str = ""
    picture: str | None = None
    warning: str | None = None
    reviews: ReviewCounts | None = None


def template_text(template: str) -> str:
    """The text of a card's template and of what every template is made of: a release packed with other text is stale.

    Raises:
        UnknownName: there is no such template.
    """
    shared = [resource_dir("data_cards") / name for name in ("_base.md", "_quality.md")]
    return "".join(path.read_text(encoding="utf-8") for path in (resource("data_cards", template, ".md"), *shared))


def render_card(card: CardInfo, release: ReleaseInfo, stats: Stats, quality: QualityCounts) -> str:
    """``README.md`` of a release.

    Raises:
        UnknownName: there is no such template.
        UserError: the template has a mistake.
    """
    path = resource("data_cards", card.template, ".md").resolve()
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(path.parent), FileSystemLoader(resource_dir("data_cards"))]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; what comes from a dataset goes through `markdown`
    )
    try:
        body = environment.get_template(path.name).render(_values(card, release, stats, quality))
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}", "mend the template") from error
    return f"{front_matter(card, release, stats)}\n{body.strip()}\n"


def check_card(card: CardInfo) -> None:
    """Render the card of an empty release, so that a mistake in it is found before anything is captioned.

    Raises:
        UnknownName: there is no such template.
        UserError: the template has a mistake.
    """
    schemas = {"captions": CAPTIONS, "media": MEDIA}
    empty = ReleaseInfo({config: {} for config in schemas}, schemas, "", embedded=False, dedup=DedupRules())
    render_card(card, empty, Stats(), QualityCounts())


def front_matter(card: CardInfo, release: ReleaseInfo, stats: Stats) -> str:
    """The YAML block: licence, tasks, size, and the data files by config; text is quoted as JSON, which is YAML."""
    lines = ["---", f"pretty_name: {json.dumps(_title(card, stats))}", f"license: {json.dumps(card.license_captions)}"]
    lines += ["language:", "- en", "task_categories:", *(f"- {task}" for task in _TASKS[card.kind])]
    lines += ["size_categories:", f"- {size_category(stats.kept)}", "configs:"]
    for config, splits in release.globs.items():
        lines += [f"- config_name: {config}", f"  description: {json.dumps(f'release {release.inputs[:16]}'.strip())}"]
        lines += [*(["  default: true"] if config == "captions" else []), "  data_files:"]
        for split, glob in splits.items():
            lines += [f"  - split: {json.dumps(split)}", f"    path: {json.dumps(glob)}"]
    return "\n".join([*lines, "---", ""])


def _title(card: CardInfo, stats: Stats) -> str:
    return f"Dry run: {card.title}" if stats.dry_run else card.title


def size_category(rows: int) -> str:
    """The Hub's name for a dataset of so many rows."""
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M" if rows < 10_000_000 else "10M<n<100M")


def _values(card: CardInfo, release: ReleaseInfo, stats: Stats, quality: QualityCounts) -> dict[str, Any]:
    """What a template may use: plain values, and tables that are Markdown already."""
    first_split = next(iter(release.globs["captions"]), "train")
    return {
        "card": card,
        "title": _title(card, stats),
        "release": release,
        "stats": stats,
        "dry_run": stats.dry_run,
        "first_split": first_split,
        "schema_version": SCHEMA_VERSION,
        "splits": _splits(stats),
        "reasons": _reasons(stats),
        "lengths": table(("words", "captions"), [(label, str(n)) for label, n in stats.length_table()], "lr"),
        "top_categories": table(
            ("category", "captions"), [(name, str(n)) for name, n in stats.top_categories(_TOP_CATEGORIES)], "lr"
        ),
        "origins": _origins(stats),
        "quality": quality_values(quality, card.checks, card.advisory, card.calibration, card.judges),
        "model_terms": tuple(map(markdown, card.model_terms)) if card.model_terms else None,
        "calibration_truth": markdown(card.calibration.truth) if card.calibration else "",
        "examples": [(key, markdown(caption)) for key, caption in stats.examples.items()],
        "columns": {name: _columns(s) for name, s in release.schemas.items()},
    }


def _splits(stats: Stats) -> str:
    counts: dict[str, tuple[int, ...]] = {
        name: (s.media, s.media_without_objects, s.objects, s.kept, s.dropped.total(), s.failed.total())
        for name, s in stats.splits.items()
    }
    if len(counts) > 1:
        counts["all splits"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    header = ("split", "media", "without objects", "objects", "captions", "dropped", "failed")
    return table(header, [(name, *map(str, row)) for name, row in counts.items()], "lrrrrrr")


def _reasons(stats: Stats) -> str:
    rows = [(kind, counter) for kind, counter in (("dropped", stats.dropped), ("failed", stats.failed))]
    lines = [
        (kind, reason, str(count), f"{count / max(1, stats.objects):.2%}")
        for kind, counter in rows
        for reason, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    ]
    return table(("status", "reason", "objects", "of all"), lines, "llrr") if lines else ""


def _columns(schema: pa.Schema) -> str:
    """The columns of a config; what they mean is said by capgen itself, with names and values as code."""
    lines = (f"| `{name}` | {kind} | {markdown_with_code(meaning)} |" for name, kind, meaning in describe(schema))
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *lines])


_BY_PEOPLE = ("written by people", *["-"] * (len(Origin._fields) - 1))


def _origins(stats: Stats) -> str:
    lines = [
        (*((value or "-" for value in origin) if any(origin) else _BY_PEOPLE), str(count))
        for origin, count in sorted(stats.origins.items(), key=lambda item: (-item[1], str(item[0])))
    ]
    header = ("model", "revision", "engine", "prompt", "prompt sha256", "highlight", "captions")
    return table(header, lines, "llllllr")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A Markdown table; ``align`` has one of ``l`` and ``r`` a column."""
    align = align.ljust(len(header), "l")
    rule = ("---:" if letter == "r" else "---" for letter in align)
    return "\n".join(f"| {' | '.join(map(markdown, row))} |" for row in (header, tuple(rule), *rows))


_LARGEST_CARD = 2**20
_PATTERN = re.compile(r"data/(captions|media)/\w+-\*\.parquet")
_CONFIG_KEYS = frozenset({"config_name", "description", "default", "data_files"})


def strange_configs(card: bytes) -> str | None:
    """What ``datasets`` would load by a card beside the files of its release; None where it is nothing.

    ``data_files`` may be URLs or lead out of the folder, and somebody else may have written the card.

    Args:
        card: the bytes of a ``README.md``.
    """
    import yaml

    if len(card) > _LARGEST_CARD:
        return "it is larger than any card"
    try:
        _, head, _ = card.decode().split("---\n", 2)
        configs = yaml.safe_load(head)["configs"]
        if not configs or not isinstance(configs, list):
            raise ValueError
        for config in configs:
            for key in config.keys() - _CONFIG_KEYS:
                return f"configs.{key} is not of a release"
            for file in config["data_files"]:
                if not _PATTERN.fullmatch(file["path"]):
                    return f"data_files has {plain(file['path'])}"
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "its configs are not those of a release"
    return None
