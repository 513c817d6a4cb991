"""A fit on two hosts: network namespaces with a host name each and a cable between them, which alone connects ranks."""

import os
import shutil
import subprocess
import sys
import time

import distributed_job as job
import pytest
from test_distributed_training import BOUND, JOB, ended, environment, mpiexec

STEPS = 12  # of same_bits: two epochs of 90 images in batches of 16
ADDRESSES = ("10.77.0.1", "10.77.0.2")

#: What MPI starts in place of ssh.
AGENT = """#!/bin/sh
address=$1; shift
case $address in {0}) name={2}-0;; {1}) name={2}-1;; *) echo "no host $address" >&2; exit 1;; esac
exec ip netns exec $name unshare --uts sh -c "hostname $name; $*"
"""


class Hosts:
    """Two hosts, of which the first one starts jobs."""

    def __init__(self, folder):
        self.name = f"tinycnn-{os.getpid()}"
        self.names = [f"{self.name}-{n}" for n in (0, 1)]
        self._folder, self._cable = folder, f"c{os.getpid()}"
        self._agent, self._file = folder / "agent", folder / "hosts"
        self._agent.write_text(AGENT.format(*ADDRESSES, self.name), "utf-8")
        self._agent.chmod(0o700)
        self._file.write_text("".join(f"{address} slots=2\n" for address in ADDRESSES), "utf-8")

    def make(self):
        for name in self.names:
            self._ip("netns", "add", name)
        ends = [f"{self._cable}-{n}" for n in (0, 1)]
        where = zip(ends, self.names, strict=True)
        first, second = ([end, "netns", name] for end, name in where)
        self._ip("link", "add", *first, "type", "veth", "peer", "name", *second)
        for end, name, address in zip(ends, self.names, ADDRESSES, strict=True):
            self._ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            for link in ("lo", end):
                self._ip("-n", name, "link", "set", link, "up")

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def passed(self):
        """Return how many bytes the second host has been sent."""
        command = ["ip", "netns", "exec", self.names[1], "cat", f"/sys/class/net/{self._cable}-1/statistics/rx_bytes"]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    def start(self, ranks, *arguments):
        """Run a Python program on so many ranks, as many on each host, and return the process."""
        start, more = mpiexec(), {"PRTE_MCA_plm_ssh_agent": str(self._agent)}
        version = subprocess.run([start, "--version"], capture_output=True, text=True, check=False).stdout
        each = str(ranks // 2)
        if "Open MPI" in version or "prte" in version.lower():
            given = ["--hostfile", str(self._file), "--map-by", f"ppr:{each}:node:oversubscribe"]
        else:  # MPICH
            hosts = ",".join(f"{address}:{each}" for address in ADDRESSES)
            given = ["-launcher", "rsh", "-launcher-exec", str(self._agent), "-hosts", hosts]
            given += ["-localhost", ADDRESSES[0]]
        inside = ["sh", "-c", f'hostname {self.names[0]}; exec "$@"', "sh"]
        command = ["ip", "netns", "exec", self.names[0], "unshare", "--uts", *inside, start, *given, "-n", str(ranks)]
        return subprocess.Popen(
            [*command, sys.executable, *arguments],
            env=environment() | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


@pytest.fixture
def hosts(tmp_path):
    mpiexec()
    missing = [name for name in ("ip", "unshare", "hostname") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"two hosts need root and {', '.join(missing) or 'network namespaces'}")
    found = Hosts(tmp_path)
    try:
        try:
            found.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
        yield found
    finally:
        found.remove()


def test_two_hosts_have_the_bits_of_one_process(tmp_path, hosts):
    alone, before = job.same_bits("deterministic"), hosts.passed()
    file = tmp_path / "found.json"
    started = hosts.start(2, JOB, "hosts", str(file), "deterministic")
    code, _, errors = ended(started)
    assert code == 0, errors
    found = job.read(file)
    assert sorted(found["hosts"]) == hosts.names
    assert (found["weights"], found["history"]) == (alone["weights"], alone["history"])
    gradients = 4 * sum(parameter.value.size for parameter in job.network().parameters().values())
    assert hosts.passed() - before > STEPS * gradients / 2  # the second host is sent at least half of each sum


@pytest.mark.parametrize("where", ["error 1", "killed 1"])
def test_a_rank_that_fails_on_another_host_ends_all(tmp_path, hosts, where):
    started = hosts.start(2, JOB, "fails", str(tmp_path / "none.json"), f"{where}|{tmp_path / 'when'}")
    code, _, errors = ended(started)
    assert time.time() - float((tmp_path / "when").read_text("utf-8")) < BOUND
    assert code != 0
    assert where.startswith("killed") or "ZeroDivisionError: on purpose" in errors
