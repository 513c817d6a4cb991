"""The parts that all kernels of this backend are made of: compiling, launching, memory, vectors, and small products."""
