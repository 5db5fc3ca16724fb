"""``python -m tests.pipeline.inprocess run ...``: the command line, its worker in this process and not on Ray."""

from capgen.cli import main as cli
from capgen.pipeline.running.session import Devices

cli._devices = lambda *_: Devices(ray=False)

if __name__ == "__main__":
    cli.main()
