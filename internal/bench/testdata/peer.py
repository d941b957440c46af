"""Does for the benchmarks what they order, with pywinrm or pypsrp.

The first line of standard input is the job: library, endpoint, account. Each
further line is an order, {"order": ..., "n": ...}; the answer is a line
{"n": ...} or {"error": ...}:

  open         opens a shell, in which warm, output and input run
  warm         runs "echo hello"; n is the length of the output
  output       runs "zeros n"; n is the length of the output
  input        feeds n bytes to "sink"; n is what the command counted
  cold         opens a connection and a shell, runs "echo hello", closes all
  upload       feeds the file of the job to "receive", pypsrp only; n is its size
  download     runs "send"; n is the length of the output, which must be the file's
  cpu          processor time of this process in nanoseconds
  crowd        runs "echo hello" on each of "targets", from a thread for each; n
               are the nanoseconds that it took, cpu, memory and sockets what it
               took of those
"""

import json
import os
import sys
import threading
import time


class Pywinrm:
    def __init__(self, job):
        from winrm.protocol import Protocol

        options = {}
        if job["spn_host"]:
            options = {"kerberos_hostname_override": job["spn_host"], "service": "HTTP"}
        self.protocol = Protocol(
            endpoint=job["url"],
            transport=job["auth"],
            username=job["user"] + ("@EXAMPLE.TEST" if job["spn_host"] else ""),
            password=job["password"],
            ca_trust_path=job["ca"] or "legacy_requests",
            message_encryption="never" if job["ca"] else "always",
            proxy=None,
            operation_timeout_sec=20,
            read_timeout_sec=40,
            **options,
        )
        self.shell = self.protocol.open_shell(codepage=65001)

    def run(self, command, args, stdin=None):
        run = self.protocol.run_command(self.shell, command, args, console_mode_stdin=stdin is None)
        try:
            if stdin is not None:
                piece = 100_000  # the method takes what one message holds; this is near its most
                for i in range(0, len(stdin), piece):
                    self.protocol.send_command_input(self.shell, run, stdin[i:i + piece], end=i + piece >= len(stdin))
            out, _, code = self.protocol.get_command_output(self.shell, run)
        finally:
            self.protocol.cleanup_command(self.shell, run)
        if code:
            raise RuntimeError(f"{command} ended with {code}")
        return out

    def close(self):
        self.protocol.close_shell(self.shell)
        self.protocol.transport.close_session()


class Pypsrp:
    def __init__(self, job):
        from pypsrp.shell import WinRS
        from pypsrp.wsman import WSMan

        options = {}
        if job["spn_host"]:
            options = {"negotiate_service": "HTTP", "negotiate_hostname_override": job["spn_host"]}
        self.wsman = WSMan(
            job["host"],
            port=job["port"],
            ssl=bool(job["ca"]),
            auth={"kerberos": "negotiate"}.get(job["auth"], job["auth"]),
            username=None if job["spn_host"] else job["user"],
            password=None if job["spn_host"] else job["password"],
            cert_validation=job["ca"] or True,
            encryption="auto" if job["ca"] else "never" if job["auth"] == "basic" else "always",
            no_proxy=True,
            max_envelope_size=512000,
            **options,
        )
        self.wsman.__enter__()
        self.shell = WinRS(self.wsman, codepage=65001)
        self.shell.__enter__()

    def run(self, command, args, stdin=None):
        from pypsrp.shell import Process, SignalCode

        process = Process(self.shell, command, args)
        process.begin_invoke()
        if stdin is not None:
            piece = self.wsman.max_payload_size
            for i in range(0, len(stdin), piece):
                process.send(stdin[i:i + piece], end=i + piece >= len(stdin))
        process.end_invoke()
        process.signal(SignalCode.TERMINATE)
        if process.rc:
            raise RuntimeError(f"{command} ended with {process.rc}")
        return process.stdout

    def close(self):
        self.shell.__exit__(None, None, None)
        self.wsman.__exit__(None, None, None)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sockets():
    n = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            n += os.readlink("/proc/self/fd/" + fd).startswith("socket:")
        except OSError:
            pass  # it was the folder's own
    return n


def crowd(library, job, targets):
    clients, errors = [None] * len(targets), []

    def one(i):
        try:
            clients[i] = library(job | {"url": targets[i]["URL"], "host": targets[i]["Host"], "port": targets[i]["Port"]})
            clients[i].run("echo", ["hello"])
        except Exception as e:
            errors.append(e)

    memory, cpu, began = resident(), time.process_time_ns(), time.monotonic_ns()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(targets))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took, cpu = time.monotonic_ns() - began, time.process_time_ns() - cpu
    if errors:
        raise errors[0]
    answer = {"n": took, "cpu": cpu, "memory": resident() - memory, "sockets": sockets()}
    for c in clients:
        c.close()
    return answer


def do(library, job, state, order, n):
    if order == "cpu":
        return time.process_time_ns()
    if order == "cold":
        one = library(job)
        out = one.run("echo", ["hello"])
        one.close()
        return len(out.strip())
    if order == "open":
        state["client"] = library(job)
        return 0
    client = state["client"]
    if order == "warm":
        return len(client.run("echo", ["hello"]).strip())
    if order == "output":
        return len(client.run("zeros", [str(n)]))
    if order == "input":
        return int(client.run("sink", [], bytes(n)))
    if order in ("upload", "download") and "data" not in state:
        with open(job["file"], "rb") as f:
            state["data"] = f.read()
    if order == "upload":
        client.run("receive", [job["remote"]], state["data"])
        return len(state["data"])
    if order == "download":
        out = client.run("send", [job["remote"]])
        if out != state["data"]:
            raise RuntimeError("the content is another")
        return len(out)
    raise ValueError(order)


def main():
    job = json.loads(sys.stdin.readline())
    library = {"pywinrm": Pywinrm, "pypsrp": Pypsrp}[job["library"]]
    state = {}
    for line in sys.stdin:
        try:
            order = json.loads(line)
            if order["order"] == "crowd":
                answer = crowd(library, job, order["targets"])
            else:
                answer = {"n": do(library, job, state, order["order"], order["n"])}
        except Exception as e:  # what it says is the answer
            answer = {"error": f"{job['library']}: {type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


main()
