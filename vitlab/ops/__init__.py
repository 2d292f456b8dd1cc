"""Arrays in, arrays out: no Flax, no parameters, no I/O."""
