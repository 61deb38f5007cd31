"""The servers that are compared: how each is started on a Redis of its own."""

import hashlib
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Stack:
    name: str
    title: str
    # False where one thread does everything: a second core changes nothing.
    uses_cores: bool = False


STACKS = {
    stack.name: stack
    for stack in [
        Stack("node", "Node: ws, graphql-ws, graphql-redis-subscriptions"),
        Stack("naive", "async-graphql-axum, one execution each", uses_cores=True),
        Stack("naive-4k", "async-graphql-axum, 4 KiB read buffers", uses_cores=True),
        Stack("before", "Tidings before", uses_cores=True),
        Stack("tidings", "Tidings", uses_cores=True),
        Stack("bare", "bare loop: one send(2) per frame"),
        Stack("bare-coalescing", "bare loop: all pending frames in one send(2)"),
    ]
}


class Failure(Exception):
    """What the user has to do something about."""


class Programs:
    """Where the built programs are."""

    def __init__(self, compare: Path, tidings: Path | None, before: Path | None):
        self.compare = compare
        self.tidings = {"tidings": tidings, "before": before}

    def command(self, stack: Stack, listen: str, redis: str) -> tuple[list[str], dict[str, str]]:
        """The command of a stack, and what its environment has besides ours."""
        program = self.compare / stack.name.split("-")[0]
        bare = [str(program), "--listen", listen, "--redis", redis]
        match stack.name:
            case "tidings" | "before":
                settings = {
                    "TIDINGS_SERVER__LISTEN": listen,
                    "TIDINGS_BUS__URL": f"redis://{redis}",
                    "TIDINGS_LOG__FILTER": "warn",
                    # Redis shares its core with a driver that is busy on purpose.
                    "TIDINGS_REDIS__REPLY_TIMEOUT": "30s",
                    "TIDINGS_REDIS__CANARY_TIMEOUT": "30s",
                }
                return [str(self.tidings[stack.name]), "serve"], settings
            case "node":
                return ["node", str(HERE / "node" / "server.mjs"), listen, redis], {"NODE_ENV": "production"}
            case "naive-4k":
                return [*bare, "--read-buffer", "4096"], {}
            case "bare-coalescing":
                return [*bare, "--coalesce"], {}
            case _:
                return bare, {}


class Running:
    """A process, ended when the block is."""

    def __init__(self, command: list[str], environment: dict[str, str], cores: set[int] | None, directory: Path):
        self.command = command
        self.log = directory / f"{Path(command[0]).name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def until_it_listens(self, port: int):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"{self.command[0]} has ended: {self.log.read_text(errors='replace')[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.command[0]} does not listen")


def free_port() -> int:
    # Below the ports that connections are made from: those would be taken when the server asks for its own.
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failure("no free port between 20000 and 30000")


def redis(port: int, cores: set[int] | None, directory: Path) -> Running:
    """A Redis that keeps nothing."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    # No limit on what waits for a subscriber: a burst is to be delivered, however slow the stack.
    command += ["--client-output-buffer-limit", "pubsub 0 0 0"]
    running = Running(command, {}, cores, directory)
    running.until_it_listens(port)
    return running


def put_keys(port: int, count: int):
    """The keys of so many clients, as Tidings keeps them in Redis. The other stacks believe every key."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answers = connection.makefile("rb")
        for start in range(0, count, 500):
            words = ["HSET", "tidings:keys"]
            for client in range(start, min(start + 500, count)):
                digest = hashlib.sha256(f"{client:064}".encode()).hexdigest()
                identifier = f"{client:08x}-2222-4222-8222-{client:012x}"
                account = f"{client:08x}-0000-4000-8000-{client:012x}"
                record = (
                    f'{{"id":"{identifier}","name":null,"account":"{account}","scopes":"read receive write",'
                    f'"digest":"{digest}","created_at":"2026-01-01T00:00:00Z","expires_at":null,"revoked_at":null}}'
                )
                words += [identifier, record]
            send_command(connection, words)
            send_command(connection, ["INCR", "tidings:version"])
            for _ in range(2):
                if not (answer := answers.readline()).startswith(b":"):
                    raise Failure(f"Redis does not take the keys: {answer!r}")


def send_command(connection: socket.socket, words: list[str]):
    encoded = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)]
    connection.sendall(b"".join(parts))


def require_tools(names: list[str]):
    """Every tool is there, or the command that installs it is said."""
    needed = {"redis-server": "apt-get install redis-server", "cargo": "apt-get install rustup && rustup toolchain install stable"}
    if "node" in names:
        needed |= {"node": "apt-get install nodejs", "npm": "apt-get install npm"}
    missing = [command for tool, command in needed.items() if not shutil.which(tool)]
    if missing:
        raise Failure("something is missing; install it with: " + " && ".join(missing))
