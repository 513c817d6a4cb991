"""Memory that is used again: arrays of one call are apart, and calls share it."""

import numpy as np

from tinycnn.core.workspace import Workspace
from tinycnn.kernels.loading import no_collection


def test_arrays_of_one_call_are_apart_and_aligned() -> None:
    scratch = Workspace().scratch()
    arrays = [scratch((3, 5)), scratch(7), scratch((2, 2), np.float64), scratch(1), scratch((0, 4))]
    for n, array in enumerate(arrays):
        array[...] = n
        assert array.ctypes.data % 64 == 0
    assert all((array == n).all() for n, array in enumerate(arrays))


def test_calls_share_memory_and_need_no_more_than_the_largest() -> None:
    ws = Workspace()
    first = ws.scratch()(1000)
    assert ws.scratch()(1000) is first
    for _ in range(5):
        scratch = ws.scratch()
        scratch(300), scratch(600)
    assert ws.nbytes() == 4000


def test_growth_keeps_what_was_given_out_and_forgets_recordings() -> None:
    ws = Workspace()
    scratch = ws.scratch()
    kept = scratch(16)
    kept[...] = 5
    ws.recorded["program"] = None
    more = scratch(10_000)
    more[...] = 1
    assert not ws.recorded
    assert (kept == 5).all()
    assert not np.may_share_memory(ws.scratch()(16), kept)


def test_the_collector_is_as_it_was() -> None:
    import gc

    assert gc.isenabled()
    try:
        with no_collection():
            assert not gc.isenabled()
            raise KeyError
    except KeyError:
        assert gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
