"""A server as people start it: another process, real HTTP."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# What `charter annotate` runs, without the import of every other command.
PROGRAM = """
import sys
from charter.cli.annotate import app
from charter.errors import CharterError, exit_code_of
try:
    app(standalone_mode=False)
except CharterError as error:
    print(f"charter: {error}", file=sys.stderr)
    sys.exit(exit_code_of(error))
"""


class Server:
    """``charter annotate serve`` in a process of its own.

    Args:
        db: the campaign.
        names: raters; "name,group,role" as in the CSV.
    """

    def __init__(self, db: Path, names: list[str], port: int = 0) -> None:
        command = [sys.executable, "-c", PROGRAM, "serve", str(db), "--port", str(port)]
        if names:
            file = db.with_name("names.csv")
            file.write_text("name,group,role\n" + "\n".join(names) + "\n")
            command += ["--raters", str(file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.links: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "/enter#" in line:
                who, _, link = line.strip().rpartition(": ")
                self.links[who.rpartition(" (")[0]] = link
            if line.startswith("Ctrl-C"):
                break
        else:
            raise AssertionError(
                f"it did not start: {self.process.stderr.read() if self.process.stderr else ''}"
            )
        self.port = int(next(iter(self.links.values())).split(":")[2].split("/")[0])

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, signum: int) -> tuple[int, str]:
        """End it by a signal: exit code and what it said."""
        self.process.send_signal(signum)
        _, error = self.process.communicate(timeout=30)
        return self.process.returncode, error


class Person:
    """A rater's browser over plain HTTP, kept alive."""

    def __init__(self, link: str) -> None:
        address, _, token = link.partition("/enter#")
        self.host = address.removeprefix("http://")
        self.cookie = self.page_token = ""
        _, headers = self.send("POST", "/api/enter", {"token": token}, "enter")
        self.cookie = headers["set-cookie"].split(";")[0]
        self.reload()

    def reload(self) -> None:
        """Read the page again."""
        page, _ = self.send("GET", "/label")
        self.page_token = page.split('name="charter-token" content="')[1].split('"')[0]

    def send(self, method: str, path: str, sent: Any = None, token: str = "") -> tuple[Any, Any]:
        """One request; a status other than 200 is an error."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        headers = {
            "content-type": "application/json",
            "cookie": self.cookie,
            "x-charter-token": token or self.page_token,
        }
        connection.request(method, path, None if sent is None else json.dumps(sent), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text}")
        return (json.loads(text) if method == "POST" else text), answer.headers

    def post(self, path: str, **sent: Any) -> dict[str, Any]:
        """Call as the page does."""
        return dict(self.send("POST", path, sent)[0])
