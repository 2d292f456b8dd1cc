"""What stands before, around and above JAX: the machine, the cluster, signals, restarts."""
