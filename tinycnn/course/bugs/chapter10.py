"""Chapter 10's bug hunt: an early stop that is right for curves with a single valley."""


def broken_stopping_epoch(val_loss, patience):
    waited = 0
    for e in range(1, len(val_loss)):
        waited = waited + 1 if val_loss[e] >= val_loss[e - 1] else 0
        if waited == patience:
            return e
    return len(val_loss) - 1
