"""PyTorch in a speedrun, as a process: ``python speedrun_torch.py JOB SEED``.

The loop is the barest there is: images as one tensor in memory, batches by index, the fused Adam, and a rate for each
step. Nothing is compiled, because that would count as well.
"""

import sys
import time

from speedrun_job import read_job, tell


def main(path, seed):
    """Train by the job in a file, and print the outcome as a line of JSON."""
    marks = [time.perf_counter()]
    import torch
    from on_torch import layer_of

    job = read_job(path)
    torch.set_num_threads(job.threads)
    torch.manual_seed(seed)
    marks.append(time.perf_counter())
    arrays = map(torch.from_numpy, job.arrays())
    x, y, x_test, y_test = (a if a.ndim == 1 else a[:, None].float().div_(255) for a in arrays)
    marks.append(time.perf_counter())
    model = torch.nn.Sequential(*map(layer_of, job.operations))
    for module in model:
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):  # as in Keras and tinycnn
            torch.nn.init.xavier_uniform_(module.weight)
            assert module.bias is not None
            torch.nn.init.zeros_(module.bias)
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)
    loss_function = torch.nn.CrossEntropyLoss()
    rates = iter(job.rates)
    model.train()
    for _ in range(job.epochs):
        for chosen in torch.randperm(len(x)).split(job.batch_size):
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.zero_grad(set_to_none=True)
            loss_function(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
    marks.append(time.perf_counter())
    model.eval()
    with torch.inference_mode():
        pairs = zip(x_test.split(1000), y_test.split(1000), strict=True)
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in pairs)
    marks.append(time.perf_counter())
    tell(right / len(x_test), marks)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
