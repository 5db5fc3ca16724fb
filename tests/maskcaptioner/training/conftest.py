import os
import signal

import pytest

from tests.maskcaptioner.training.trainings import launch
from tests.maskcaptioner.worlds import make_releases, training_file


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with the OUTs ``images`` and ``videos``, and ``tiny.toml``."""
    folder = tmp_path_factory.mktemp("training")
    make_releases(folder)
    training_file(folder)
    return folder


@pytest.fixture
def start():
    """Starts a Python program; what a failed test leaves behind is ended."""
    started = []
    yield lambda *command, **environment: started.append(launch(*command, **environment)) or started[-1]
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
