"""The step, the loop around it, and everything that keeps a run alive."""
