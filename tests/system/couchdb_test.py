#!/usr/bin/env python3
"""The writer couchdb against an HTTP server that speaks the part of CouchDB's reference that it
uses: PUT /db, POST /db/_bulk_docs. The server is this test's own; it can be away, busy, stingy and
hostile, which a real one cannot be made to be. The documents are written to a real one as well,
and read back: to that which COUCHDB_URL names, or to npm's pouchdb-server where scripts/setup.sh
could install it. The last lines say which it was.
usage: couchdb_test.py FLOWLOOM GENERATOR
"""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid

from support import (ACK, PSH, SAMPLE, Checks, Command, Talk, capture_of, records, scratch, stats)


class Couch:
    """Databases in memory, and what happens to requests."""

    def __init__(self, port=0):
        self.databases, self.requests, self.faults = {}, 0, []
        self.limit, self.refuse = 1 << 30, set()
        couch = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def do_PUT(self):
                self.body()
                name = self.path.strip("/")
                made = couch.databases.setdefault(name, {}) is not None and \
                    not couch.databases[name]
                self.answer(201 if made else 412, {"ok": True})

            def do_POST(self):
                data = self.body()
                couch.requests += 1
                if couch.faults:
                    fault = couch.faults.pop(0)
                    if fault is None:
                        self.close_connection = True
                        return
                    self.answer(*fault)
                    return
                if len(data) > couch.limit:
                    self.answer(413, {"error": "too_large"})
                    return
                name, call = self.path.strip("/").split("/")
                assert call == "_bulk_docs"
                self.answer(201, [couch.store(name, d) for d in json.loads(data)["docs"]])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def store(self, name, document):
        database = self.databases[name]
        if document["_id"] in self.refuse:
            return {"id": document["_id"], "error": "forbidden", "reason": "no"}
        if document["_id"] in database:
            return {"id": document["_id"], "error": "conflict", "reason": "there already"}
        database[document["_id"]] = document
        return {"ok": True, "id": document["_id"], "rev": "1-0"}

    def url(self, name, user=""):
        return f"http://{user}127.0.0.1:{self.port}/{name}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def couch_server(port=0):
    couch = Couch(port)
    try:
        yield couch
    finally:
        couch.close()


def write(flowloom, capture, out, url, *options):
    return flowloom.read([capture], out, "-q", "--write", f"flows,streams,couchdb={url}", *options)


def check_documents(checks, documents, out, what, limit=1 << 20):
    """Every record is a document, with the content of its files."""
    expected = {r["uid"]: r for r in records(out)}
    checks.equal(expected.keys(), documents.keys(), f"{what}: the ids")
    for uid, record in expected.items():
        document = dict(documents[uid])
        attachments = document.pop("_attachments", {})
        sizes = document.pop("content_bytes")
        checks.equal(uid, document.pop("_id"), f"{what}: _id")
        wrong = [k for k in record if document.get(k) != record[k]]
        checks.equal([], wrong, f"{what}: the record")
        for side in ("orig", "resp"):
            file = record[side].get("file")
            data = (out / file).read_bytes()[:limit] if file else b""
            found = base64.b64decode(attachments[side]["data"]) if side in attachments else b""
            checks.that(data == found and sizes[side] == len(data), f"{what}: {uid} {side}")


def check_plain(checks, flowloom, folder, capture):
    with couch_server() as couch:
        ran = write(flowloom, capture, folder / "plain", couch.url("flows", "me:secret@"))
        checks.equal((0, ""), (ran.status, ran.err), "plain")
        check_documents(checks, couch.databases["flows"], folder / "plain", "plain")
        count = len(records(folder / "plain"))
        writer = stats(folder / "plain")["writers"]["couchdb"]
        checks.equal((count, 0), (writer["records"], writer["dropped"]), "plain: stats.json")
        checks.equal([], os.listdir(folder / "plain/couchdb-spool"), "plain: the spool is empty")
        before = json.dumps(couch.databases)
        ran = write(flowloom, capture, folder / "again", couch.url("flows"), "--workers", 2)
        checks.equal((0, before), (ran.status, json.dumps(couch.databases)),
                     "a second time: conflicts are what was written already")
        checks.equal(count, stats(folder / "again")["writers"]["couchdb"]["records"],
                     "a second time: records")
        write(flowloom, capture, folder / "short", couch.url("short"), "--couchdb-content", "100")
        check_documents(checks, couch.databases["short"], folder / "short", "short", 100)


def check_faults(checks, flowloom, folder, capture):
    with couch_server() as couch:
        couch.faults = [(503, {}), None, (429, {}), (200, b"<html>"), (500, b"")]
        ran = write(flowloom, capture, folder / "busy", couch.url("busy"))
        checks.equal(0, ran.status, f"a busy server: {ran.err}")
        check_documents(checks, couch.databases["busy"], folder / "busy", "busy")
        couch.limit = 600_000  # less than a batch, more than a document
        ran = write(flowloom, capture, folder / "large", couch.url("large"))
        checks.equal(0, ran.status, f"too large: {ran.err}")
        check_documents(checks, couch.databases["large"], folder / "large", "large")
        couch.limit = 1 << 30
        victim = records(folder / "large")[0]["uid"]
        couch.refuse = {victim}
        ran = write(flowloom, capture, folder / "refused", couch.url("refused"))
        checks.that(ran.status == 4 and "forbidden" in ran.err, f"a refused document: {ran.err}")
        kept = (folder / "refused/couchdb-spool/refused.jsonl").read_text().splitlines()
        checks.equal([victim], [json.loads(line)["_id"] for line in kept], "refused.jsonl")
        writer = stats(folder / "refused")["writers"]["couchdb"]
        checks.equal(1, writer["dropped"], "refused: dropped")
        couch.faults = [(401, {})]
        ran = write(flowloom, capture, folder / "rights", couch.url("rights", "me:secret@"))
        checks.that(ran.status == 4 and "401" in ran.err and "secret" not in ran.err,
                    f"no rights: {ran.err}")
        checks.that(ran.seconds < 4, "no rights: nothing is waited for")


def check_away(checks, flowloom, folder, capture):
    """No server: everything waits on disk; a later run with a server delivers it."""
    port = free_port()
    spool = folder / "spool"
    ran = write(flowloom, capture, folder / "away", f"http://127.0.0.1:{port}/late",
                "--couchdb-spool", spool)
    checks.that(ran.status == 4 and "wait in the spool" in ran.err and ran.seconds < 10,
                f"no server: {ran.status} after {ran.seconds:.1f} s, {ran.err}")
    lines = b"".join(p.read_bytes() for p in sorted(spool.iterdir())).splitlines()
    checks.equal(len(records(folder / "away")), len(lines), "no server: the spool has all")
    with couch_server(port) as couch:
        other = capture_of(folder / "other.pcap", Talk(99).open(1).say(2, 0, ACK | PSH, b"x"))
        ran = write(flowloom, other, folder / "later", couch.url("late"), "--couchdb-spool", spool)
        checks.equal((0, ""), (ran.status, ran.err), "a later run")
        found = dict(couch.databases["late"])
        new = records(folder / "later")[0]["uid"]
        checks.that(found.pop(new, None) is not None, "a later run: its own document")
        check_documents(checks, found, folder / "away", "a later run: those of the spool")
        checks.equal([], os.listdir(spool), "a later run: the spool is empty")


def check_mistakes(checks, flowloom, folder):
    for url in ("", "localhost:5984/x", "ftp://h/x", "http://h", "http://h/", "http://h/a/b"):
        ran = write(flowloom, SAMPLE, folder / "wrong", url)
        checks.equal((1, 1), (ran.status, ran.err.count("\n")), f"refuses the URL '{url}'")


def check_real(checks, flowloom, folder, capture, base):
    url = f"{base.rstrip('/')}/flowloom-{uuid.uuid4().hex}"
    for name in ("real", "real2"):
        ran = write(flowloom, capture, folder / name, url)
        checks.equal((0, ""), (ran.status, ran.err), name)
    with urllib.request.urlopen(f"{url}/_all_docs?include_docs=true&attachments=true") as answer:
        rows = json.load(answer)["rows"]
    documents = {row["id"]: row["doc"] for row in rows}
    for document in documents.values():
        checks.that(document.pop("_rev").startswith("1-"), "written once")
    check_documents(checks, documents, folder / "real", "real")


@contextlib.contextmanager
def real_server(folder):
    """The URL of a real server, or None; it starts while other checks run."""
    if url := os.environ.get("COUCHDB_URL"):
        yield url
        return
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    program = shutil.which("pouchdb-server") or \
        shutil.which(cache / "flowloom/npm/node_modules/.bin/pouchdb-server")
    if program is None:
        yield None
        return
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen([program, "--in-memory", "--port", str(port)], cwd=folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url):
    """Waits for a server that starts."""
    for _ in range(150):
        with contextlib.suppress(OSError), urllib.request.urlopen(url):
            return True
        time.sleep(0.1)
    return False


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main():
    checks, flowloom = Checks(), Command(sys.argv[1])
    with scratch() as name:
        folder = pathlib.Path(name)
        talks = [Talk(n).open(1 + n / 1000) for n in range(1, 31)]
        for i in range(100):
            talks[0].say(2 + i / 100, 1, ACK | PSH, bytes([i]) * 1400)  # several messages
        for n, talk in enumerate(talks[1:]):
            talk.say(2, 0, ACK | PSH, bytes([n, 0, 255, 34, 92, 10]) * 200)
            talk.say(3, 1, ACK | PSH, b"\"}]" * 300)
        capture = capture_of(folder / "talks.pcap", *talks)
        with real_server(folder / "server") as real:
            check_plain(checks, flowloom, folder, capture)
            check_plain(checks, flowloom, folder / "sample", SAMPLE)
            check_faults(checks, flowloom, folder, capture)
            check_away(checks, flowloom, folder, capture)
            check_mistakes(checks, flowloom, folder)
            if real is not None and checks.that(answers(real), f"{real} answers"):
                check_real(checks, flowloom, folder, capture, real)
        print(f"a real server: {real}")
    checks.finish()


if __name__ == "__main__":
    main()
