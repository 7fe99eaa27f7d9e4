"""The pretended llama.cpp: tasks in slots, prompts being processed, tokens being generated."""
