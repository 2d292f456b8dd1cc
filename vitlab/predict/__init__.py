"""Trained models at work, one file a task, and as programs that run without this code."""
