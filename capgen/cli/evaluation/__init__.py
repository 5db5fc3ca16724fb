"""``capgen eval``: scores for tracks and for captions of regions, and the public benchmarks end to end."""

import typer

from capgen.cli.evaluation import benchmark, captions, tracks

app = typer.Typer(help="Score tracks and captions.", no_args_is_help=True, rich_markup_mode=None)
for verb in (tracks, benchmark, captions):
    app.add_typer(verb.app)
