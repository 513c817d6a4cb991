"""How this backend gets machine code: compiling, launching, memory, vectors, and the small parts that kernels share."""
