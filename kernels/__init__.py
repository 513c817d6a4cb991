"""Kernels: functions from arrays to arrays. They know nothing of layers and never import tinycnn.

The same names with the same signatures and meanings stand in each backend:

``reference``
    Plain NumPy: the definition of every kernel, written to be read, and the oracle for the others.
``cpu``
    Numba, parallel over fixed chunks: the same bits for any number of threads.
``cuda``
    Numba on a graphics card (``pip install "tinycnn[cuda]"``), on arrays that lie there.

Conventions, all backends:

* Activations are NHWC, convolution weights HWIO (``KH, KW, C, F``), matrices ``(in, out)``.
* ``pads`` is ``(top, bottom, left, right)``; ``strides``, ``dilation``, ``*_size`` are ``(vertical, horizontal)``.
* All numbers of one call have the same floating dtype: float32 in use, float64 in gradient checks. Indices (the winners
  of a pooling, labels) are integers.
* ``out=`` receives the result (a tuple where a kernel returns several arrays) and is overwritten, never added to.
* ``work=`` gives scratch memory: called like :func:`numpy.empty`, which it defaults to.
"""
