import openai

from mockserver.sandbox import Sandbox


def test_my_client_survives_a_restart(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.restart(down_seconds=0.5)
    with openai.OpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key) as client:
        answer = client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content
