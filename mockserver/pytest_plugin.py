"""The pytest plugin: `gguf_sandbox`, a gateway and mocks for the tests of other projects."""
