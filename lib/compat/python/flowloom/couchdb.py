"""Streams as documents of CouchDB, by its HTTP interface."""
import base64
import json
import urllib.error
import urllib.parse
import urllib.request

DEFAULT_SERVER = "http://localhost:5984"
TIMEOUT = 30  # seconds
ALREADY_THERE = 412
CONFLICT = 409


def document(name, info, contents, gaps):
    """A connection that has ended; its content is attached."""
    sides = []
    for side, content, missing in zip((info.client_side, info.server_side), contents, gaps):
        address, port = side.pop("end_point")
        sides.append(dict(side, addr=address, port=port, gaps=[gap._asdict() for gap in missing],
                          attached=len(content)))
    attachments = {
        which: {"content_type": "application/octet-stream",
                "data": base64.b64encode(content).decode("ascii")}
        for which, content in zip(("client", "server"), contents) if content}
    return {"_id": name, "key": info.key, "start": info.start, "end": info.end,
            "reason": info.reason, "state": info.state, "history": info.history,
            "client": sides[0], "server": sides[1], "_attachments": attachments}


class Database:
    """A database, made if it is not there. `name` may be a whole URL."""

    def __init__(self, name):
        name = str(name)
        self.url = name if "://" in name else \
            f"{DEFAULT_SERVER}/{urllib.parse.quote(name, safe='')}"
        self._ask("PUT", self.url, None, ALREADY_THERE)

    def write(self, doc):
        """Writes a document; one of the same name that is there already stays."""
        url = f"{self.url}/{urllib.parse.quote(doc['_id'], safe='')}"
        self._ask("PUT", url, json.dumps(doc).encode(), CONFLICT)

    @staticmethod
    def _ask(method, url, body, fine):
        parts = urllib.parse.urlsplit(url)
        headers = {"Content-Type": "application/json"}
        if parts.username:
            user = f"{parts.username}:{parts.password or ''}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(user).decode()
            url = url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.read()
            if error.code != fine:
                raise
