"""The parts of a page about translators of sentences."""
