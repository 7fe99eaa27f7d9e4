"""A transcription by OpenAI's SDK: a form of several parts, which goes up as it is, small or large."""

import re

import openai
import pytest

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
_PART = re.compile(rb'Content-Disposition: form-data; name="(\w+)"(?:; filename="([\w.]+)")?')


def transcribe(visit: Visit) -> None:
    visit.read_body()
    visit.answer(b'{"type":"transcript.text.done","text":"Once upon a time."}')


@pytest.mark.slow
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_recording_is_transcribed(gateway: GatewayProcess, upstream: ScriptedUpstream, size: int) -> None:
    recording = WAV + bytes(range(256)) * (size // 256)
    base_url = f"http://127.0.0.1:{gateway.port}{scene.BASE}/v1"
    with upstream.playing(transcribe), openai.OpenAI(base_url=base_url, api_key=scene.KEY, max_retries=0) as client:
        answer = client.audio.transcriptions.create(model="any", file=("speech.wav", recording), language="en")
    assert answer.text == "Once upon a time."
    received = upstream.only_request
    assert received.line == "POST /v1/audio/transcriptions HTTP/1.1"
    boundary = received.values("Content-Type")[0].removeprefix("multipart/form-data; boundary=").encode()
    assert received.body.startswith(b"--" + boundary)
    assert received.body.rstrip().endswith(b"--" + boundary + b"--")
    assert recording in received.body
    assert {(b"file", b"speech.wav"), (b"model", b""), (b"language", b"")} == set(_PART.findall(received.body))
