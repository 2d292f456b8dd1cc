"""The training program: from a config to the end of its run."""
