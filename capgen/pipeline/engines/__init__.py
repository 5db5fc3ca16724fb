"""What answers: each engine a file; a new one is a file and a line here."""

ENGINES = {
    "vllm": "capgen.pipeline.engines.vllm:Vllm",
    "echo": "capgen.pipeline.engines.echo:Echo",
}
