"""The documented results, reproduced: a record for each run, and what is made of the records.

``records`` says what a record is, ``running`` makes one, ``targets`` judges them, ``figures``, ``tables`` and ``page``
show them.
"""
