"""Kernels written down once and run by one call: a program.

A launch costs more than the arithmetic of a small kernel: its arguments are checked and unpacked, and threads are woken
and waited for. What a training step launches is the same at every step, on the same memory. So it is written down once,
as rows of numbers: the address of a kernel, how many chunks it has, and the address of its arguments. To run a program
is a single parallel loop. Each of its lanes goes through the rows in their order. Of each row it has a part of its own,
from which it takes one chunk after another; then it helps the others with theirs, until no chunks are left, and waits
until those that others have taken are done. As the parts are the same in every run, a lane finds what it needs where it
left it: in the cache of its own core, the weights of the last run and the images of the row before.

So a lane waits only for work that is being done, and never for a lane that has not come. If fewer threads run than
there are lanes, those that run do all of the work. A lane that has waited for a while lets other threads of the machine
run. Results depend on chunks alone, so they have the same bits as those of launches.

A row may have a second function, which is called with the same chunk's number right after the first: an optimizer's
update of the weights whose gradient the chunk has just computed, which are then still in the cache.

Sources: the loop is a barrier with a central counter (Mellor-Crummey & Scott, "Algorithms for scalable synchronization
on shared-memory multiprocessors", 1991, section 3.1), which here counts the work and not those who arrive. That lanes
keep their parts for the sake of their caches is Markatos's and LeBlanc's "Using processor affinity in loop scheduling
on shared-memory multiprocessors", 1994.
"""

import contextlib
from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ... import aligned
from ...threads import thread_count
from .atomics import add, call_at, get, give_way, pause
from .jit import helper, kernel, parallel_loop, record_with

FUNCTION, CHUNKS, WORKERS, ARGUMENTS, THEN, THEN_ARGUMENTS = range(6)  # the columns of a row
LINE = 64  # bytes of a line of the cache, of which each row has one for all lanes, and one for each lane's part
DONE, COME, TAKEN = 0, 8, LINE  # where a row's counters are, in bytes; that of the second part is a line further
SPINS = 200  # how often a lane looks before it lets other threads run: some microseconds


class Program:
    """What was launched within :meth:`recording`, to be run again by :meth:`run`.

    Parameters
    ----------
    frozen : bool
        Whether weights will never change. What follows from them alone is then computed once, in the recording; its
        results must lie in memory of their own.

    Attributes
    ----------
    refusal : str or None
        Why the recording cannot be run again; None if it can.
    """

    def __init__(self, frozen=False):
        self.frozen = frozen
        self.refusal = None
        self._parts = []
        self._launches = []
        self._gives = {}
        self._now = None

    @staticmethod
    def lanes():
        """Return how many lanes the next recording will have: as many as threads, or 0 if kernels are not compiled."""
        return 0 if numba.config.DISABLE_JIT else thread_count()

    @contextlib.contextmanager
    def recording(self, now):
        """Run what is launched within this block and write it down.

        All arrays have to be where they will be when the program runs. Whatever else happens between the launches may
        depend on shapes, and on nothing that changes; see :meth:`call` for the rest.

        Parameters
        ----------
        now : object
            What :meth:`run` would be given to do the same.
        """
        self._now = now
        try:
            with record_with(self):
                yield
        finally:
            self._now = None
        self._close()

    def call(self, function):
        """Call ``function(now)`` here, outside of the recording, and at this place of each run."""
        self._close()
        self._parts.append(function)
        with record_with(None):
            function(self._now)

    def note(self, row, little, arguments, held, renewed, gives=None, behind=None):
        """Write a launch down.

        Parameters
        ----------
        row : tuple of int
            The address of a compiled function, how many chunks it has, how many workers have scratch memory, and the
            address of the arguments.
        little : bool
            Whether it is too little work to wake other threads for.
        arguments : tuple
            The arguments.
        held : object
            What else has to stay alive as long as the program.
        renewed : list of (array, callable)
            Arguments that change: before each run the array is filled with what the callable returns for ``now``.
        gives : (array, int), optional
            An array of which each chunk writes so many numbers, one chunk after another, and how many that is.
        behind : int, optional
            The launch behind whose chunks this one's run, as :meth:`giver` returned it.
        """
        if behind is None:
            if gives is not None:
                array, count = gives
                self._gives[array.ctypes.data] = len(self._launches), count
            self._launches.append(_Launch(row, (0, 0), little, arguments, held, renewed))
            return
        first = self._launches[behind]
        assert first.row[CHUNKS] == row[CHUNKS]
        assert first.then == (0, 0)
        self._launches[behind] = first._replace(
            then=(row[FUNCTION], row[ARGUMENTS]), held=(first.held, arguments, held), renewed=first.renewed + renewed
        )

    def giver(self, gradient, arrays):
        """Return the launch that writes a gradient, and how many numbers each of its chunks does.

        Return None if there is none, or if a launch behind it may read or write the arrays, so that they must not be
        changed earlier.
        """
        number, count = self._gives.get(gradient.ctypes.data, (None, 0))
        if number is None:
            return None
        for launch in self._launches[number + 1 :]:
            others = [argument for argument in launch.arguments if isinstance(argument, np.ndarray)]
            if any(np.may_share_memory(array, other) for array in arrays for other in others):
                return None
        return number, count

    @property
    def has_calls(self):
        """Whether a run calls Python in between."""
        return not all(isinstance(part, _Rows) for part in self._parts)

    def refuse(self, reason):
        """Remember that something happened that a run could not repeat."""
        self.refusal = self.refusal or reason

    def run(self, now):
        """Do again what was recorded.

        Parameters
        ----------
        now : object
            What is different in this run: the functions are given it that compute arguments anew, and those that
            :meth:`call` was given. Kernels read from it ``step``, the number of the step of training, ``update``, the
            number of the optimizer's update, and ``learning_rate``.
        """
        for part in self._parts:
            part(now)

    def _close(self):
        """Turn the launches since the last call into a part."""
        if self._launches:
            self._parts.append(_Rows(self._launches))
            self._launches, self._gives = [], {}


class _Launch(NamedTuple):
    """What :meth:`Program.note` was given, and function and arguments of what runs behind each chunk, or zeros."""

    row: tuple
    then: tuple
    little: bool
    arguments: tuple
    held: object
    renewed: list


class _Rows:
    """A part of a program: launches with nothing in between.

    If one of them is worth waking other threads for, these share the work of the others as well.
    """

    def __init__(self, launches):
        self._held = launches
        self._rows = np.array([(*launch.row, *launch.then) for launch in launches], np.int64)
        self._renewed = [pair for launch in launches for pair in launch.renewed]
        self.share(1 if all(launch.little for launch in launches) else int(self._rows[:, WORKERS].max()))

    def share(self, lanes):
        """Let so many lanes share the work."""
        self._lanes = lanes
        self._counters = aligned.zeros((len(self._rows), 1 + lanes, LINE // 8), np.int64)
        self._start = self._counters.ctypes.data

    def __call__(self, now):
        for place, function in self._renewed:
            place[0] = function(now)
        _run(self._lanes, self._rows, self._counters, self._start)


@helper
def take_from(part, lanes, worker, rows, row, counters):
    """Take one chunk of a lane's part of a row after another, until none is left."""
    chunks, taken = rows[row, CHUNKS], counters + TAKEN + part * LINE
    first, end = part * chunks // lanes, (part + 1) * chunks // lanes
    if get(taken) >= end - first:
        return
    chunk = first + add(taken, 1)
    while chunk < end:
        call_at(rows[row, FUNCTION], chunk, worker, rows[row, ARGUMENTS])
        if rows[row, THEN]:
            call_at(rows[row, THEN], chunk, worker, rows[row, THEN_ARGUMENTS])
        add(counters + DONE, 1)
        chunk = first + add(taken, 1)


@helper
def go_through(lane, lanes, rows, start):
    """Do a lane's share of every row."""
    for row in range(rows.shape[0]):
        chunks, workers, counters = rows[row, CHUNKS], rows[row, WORKERS], start + row * (1 + lanes) * LINE
        # A lane has scratch memory of its own; where there is less, those that come first have it.
        worker = lane if workers >= lanes else add(counters + COME, 1)
        if worker < workers:
            for turn in range(lanes):
                take_from((lane + turn) % lanes, lanes, worker, rows, row, counters)
        spins = 0
        while get(counters + DONE) < chunks:
            spins += 1
            if spins < SPINS:
                pause()
            else:
                give_way()


@parallel_loop
def _side_by_side(lanes, rows, start):
    """Run the rows, each lane in their order; ``start`` is the address of the counters."""
    for lane in prange(lanes):
        go_through(np.int64(lane), lanes, rows, start)


@kernel
def _run(lanes, rows, counters, start):
    """Set the counters back and run the loop."""
    counters[...] = 0
    if lanes == 1:  # a parallel loop would wake the other threads, for nothing
        go_through(0, 1, rows, start)
    else:
        _side_by_side(lanes, rows, start)
