"""Other people's weight names <-> ours."""
