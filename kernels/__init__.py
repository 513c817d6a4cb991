"""Kernels: functions from arrays to arrays. They know nothing of layers and never import tinycnn.

Each backend offers the same names, with the same signatures and meanings:

``reference``
    Plain NumPy. It defines every kernel, is written to be read, and is what the other backends are tested against.
``cpu``
    Numba, parallel over fixed chunks. Results have the same bits for any number of threads.
``cuda``
    Numba on a graphics card (``pip install -e ".[cuda]"``), with arrays that lie there.

These conventions hold in all backends:

* Activations are NHWC, convolution weights are HWIO (``KH, KW, C, F``), and matrices are ``(in, out)``.
* ``pads`` is ``(top, bottom, left, right)``; ``strides``, ``dilation`` and ``*_size`` are ``(vertical, horizontal)``.
* All floating-point arrays of one call have the same dtype: float32 in use, float64 in gradient checks. Indices (the
  winners of a pooling, labels) are integers.
* ``out=`` receives the result (a tuple where a kernel returns several arrays). Its old content is overwritten, never
  added to.
* ``work=`` supplies scratch memory. It is called like :func:`numpy.empty`, which is the default.
"""
