"""`sandbox --traffic`: a small team that works on the sandbox, so that its pages, charts and line are alive."""
