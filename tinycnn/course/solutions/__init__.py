"""The solutions of the course, one file per chapter; the learner's templates are made from them.

Each is the whole file of a chapter, so ``tinycnn check chapter01 FILE`` accepts it, and a later chapter may import from
it what a learner has not written: ``from tinycnn.course.solutions.chapter01 import conv2d``.
"""
