"""``python -m tests.pipeline.inprocess run ...``: the command line, its worker in this process and not on Ray."""

from capgen.cli.main import main
from capgen.cli.providers import Providers
from capgen.pipeline.running.session import Devices

if __name__ == "__main__":
    main(Providers(devices=lambda *_: Devices(ray=False)))
