"""What a mock has imported when it has answered for the first time: with a line in a CI file, others wait for it."""

import json
import re
import subprocess
import sys
from urllib.request import urlopen

from tests.harness.patience import PATIENCE

_COMMAND = (sys.executable, "-X", "importtime", "-m", "mockserver", "--port", "0", "--stop-with-stdin")
# What reads answers, profiles and templates from files, what the terminal view is drawn with, and the other package.
_NEVER = {"yaml", "jinja2", "rich", "pydantic", "sqlalchemy", "statistics", "importlib.metadata", "gateway"}


def test_a_mock_answers_with_what_answering_needs() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as mock:
        assert mock.stdout is not None
        url = next(found[1] for line in mock.stdout if (found := re.search(r"server is listening on (\S+)", line)))
        with urlopen(f"{url}/health", timeout=PATIENCE) as answer:
            assert json.load(answer) == {"status": "ok"}
        loaded = set(re.findall(r"^import time:.*\| +(\S+)$", mock.communicate(timeout=PATIENCE)[1], re.MULTILINE))
    assert loaded >= {"click", "aiohttp.web", "mockserver.server.mock_server"}
    assert loaded & _NEVER == set()
