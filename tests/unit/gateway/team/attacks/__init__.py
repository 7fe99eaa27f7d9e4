"""What somebody tries who means ill: by other sites' pages, by stored text, by guessing, and by being quick."""
