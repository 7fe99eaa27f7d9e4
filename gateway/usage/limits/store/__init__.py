"""Where limits are counted: in a file that processes share, or in memory where there can be none."""
