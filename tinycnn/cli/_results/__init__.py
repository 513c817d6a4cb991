"""The reproduced results: a record for each run, and the report on the records.

``records`` defines a record, ``running`` makes one, and ``targets`` judges them. ``page`` puts the report together from
``blocks``, with ``pictures`` that ``figures`` draws. ``choices`` and ``beside`` add what the scripts in ``benchmarks/``
have compared; their records are ``curves``. ``one_run`` is the report on a single run of ``tinycnn train``, with
pictures from ``run_figures``.
"""
