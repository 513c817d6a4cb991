"""The race to an accuracy on MNIST, which ``tinycnn speedrun`` runs.

:mod:`.plan` says what is trained and how, and is all that another framework needs to be told; :mod:`.runner` is one
process that trains it; :mod:`.race` starts such processes and holds the watch.
"""
