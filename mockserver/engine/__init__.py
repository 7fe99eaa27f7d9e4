"""The pretended llama.cpp: slots, prompts being read, tokens being generated."""
