"""One family a file, leaf first, in the order of its paper's figure; `make(**spec)` builds it."""
