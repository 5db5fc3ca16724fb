"""What answers: each engine a file; a new one is a file and a line here."""

from capgen.registry import Registry

ENGINES = Registry(
    "engine",
    "capgen.engines",
    {
        "vllm": "capgen.pipeline.engines.vllm:Vllm",
        "openai": "capgen.pipeline.engines.openai:Openai",
        "transformers": "capgen.pipeline.engines.transformers:Transformers",
        "batchfile": "capgen.pipeline.engines.batchfile:Batchfile",
        "echo": "capgen.pipeline.engines.echo:Echo",
    },
)
