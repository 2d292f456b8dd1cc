"""The command line and the config files that it names."""
