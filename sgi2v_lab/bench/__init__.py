"""The cost of the method: operations, time and memory, beside the reference recipe."""
