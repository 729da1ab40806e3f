#!/usr/bin/env python3
"""flowloom live beside programs that everybody runs: nginx and curl, iperf3, openssl, over IPv4 and
IPv6, more than a thousand connections. What the programs say they sent and received is the truth,
byte by byte; nothing may be dropped.

usage: live_programs_test.py FLOWLOOM
"""
import collections
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time

from live_support import (CLIENT, CLIENT6, PATIENCE, SERVER, SERVER6, Link, Live, enter_namespaces)
from support import Checks, balances, records, scratch, stats

HTTP, TLS, IPERF = 8080, 8443, 5201
TRANSFERS = 520  # of each address family, a connection each
KEPT = 40  # further ones that share a connection
TALKS = 12  # with openssl
COOKIE = 37  # bytes that iperf3 sends first on every connection
BLOCK = 131072  # of iperf3, which begins its pattern anew in each

NGINX = """
daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.err;
events {{ worker_connections 500; }}
http {{
  log_format ports
    '$connection $remote_addr $remote_port $request_length $bytes_sent';
  access_log {0}/nginx.log ports;
  client_body_temp_path {0}/t1; proxy_temp_path {0}/t2; fastcgi_temp_path {0}/t3;
  uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5;
  server {{ listen [::]:{1} ipv6only=off; root {0}/www; keepalive_requests 1000; }}
}}
"""

# Stands between openssl's client and the link, and notes what crosses the link on its side.
RELAY = """
import hashlib, json, select, socket, sys
here = socket.create_server(("127.0.0.1", 0))
print(here.getsockname()[1], flush=True)
for to in sys.argv[2:]:
    near = here.accept()[0]
    far = socket.create_connection((to, int(sys.argv[1])))
    sums = {near: hashlib.sha256(), far: hashlib.sha256()}
    other, open_ = {near: far, far: near}, [near, far]
    while open_:
        for s in select.select(open_, [], [])[0]:
            data = s.recv(65536)
            if data:
                other[s].sendall(data)
                sums[s].update(data)
            else:
                open_.remove(s)
                other[s].shutdown(socket.SHUT_WR)
    print(json.dumps([*far.getsockname()[:2], sums[near].hexdigest(), sums[far].hexdigest()]),
          flush=True)
    near.close()
    far.close()
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def background(*command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def wait_for_port(port):
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["ss", "-Htln", f"sport = {port}"], capture_output=True, check=True,
                         text=True).stdout == "":
        assert time.monotonic() < deadline, f"nobody listens on {port}"
        time.sleep(0.02)


class Servers:
    """nginx, openssl s_server and iperf3 in this namespace."""

    def __init__(self, folder):
        www = folder / "www"
        www.mkdir()
        for n in range(20):
            size = random.Random(n).choice([1, 600, 5_000, 30_000, 150_000])
            (www / f"f{n}").write_bytes(random.Random(n).randbytes(size))
        (folder / "nginx.conf").write_text(NGINX.format(folder, HTTP), encoding="ascii")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test", "-keyout",
                        folder / "key.pem", "-out", folder / "cert.pem"], check=True,
                       capture_output=True)
        self.servers = [
            background("/usr/sbin/nginx", "-e", str(folder / "nginx.err"), "-c",
                       str(folder / "nginx.conf")),
            subprocess.Popen(["openssl", "s_server", "-accept", str(TLS), "-WWW", "-quiet",
                              "-key", folder / "key.pem", "-cert", folder / "cert.pem"], cwd=www,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL),
            background("iperf3", "-s", "-p", str(IPERF))]

    def __enter__(self):
        for port in (HTTP, TLS, IPERF):
            wait_for_port(port)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.wait(PATIENCE)


# Each returns what must have been captured: a list of (client, port, sent, received), the latter
# two as digests. Ports are used again.

def fetch(folder, link, address):
    """curl: TRANSFERS connections for a file each, then one for KEPT files."""
    host = f"[{address}]" if ":" in address else address
    steps, names = [], []
    for n in range(TRANSFERS + KEPT):
        name = f"f{n % 20}"
        output = folder / f"{'six' if ':' in address else 'four'}{n}"
        close = 'header = "Connection: close"\n' if n < TRANSFERS else ""
        steps.append(f'url = "http://{host}:{HTTP}/{name}"\noutput = "{output}"\n'
                     f'dump-header = "{output}.head"\nuser-agent = "test"\nsilent\nfail\n{close}'
                     'write-out = "%{local_ip} %{local_port} %{num_connects}\\n"\n')
        request = f"GET /{name} HTTP/1.1\r\nHost: {host}:{HTTP}\r\nUser-Agent: test\r\n" \
                  "Accept: */*\r\n" + ("Connection: close\r\n" if close else "") + "\r\n"
        names.append((name, output, request.encode()))
    ran = subprocess.run(link.there("curl", "--config", "-"), input="next\n".join(steps), text=True,
                         capture_output=True, check=True, timeout=PATIENCE)
    talks = []
    for line, (name, output, request) in zip(ran.stdout.splitlines(), names, strict=True):
        client, port, is_new = line.split()
        body = output.read_bytes()
        assert body == (folder / "www" / name).read_bytes(), f"curl got another {name}"
        if is_new == "1":
            talks.append([client, int(port), b"", b""])
        talks[-1][2] += request
        talks[-1][3] += pathlib.Path(f"{output}.head").read_bytes() + body
    return [(client, port, sha256(sent), sha256(got)) for client, port, sent, got in talks]


def talk_tls(folder, link):
    """openssl s_client through the relay, to both families in turn."""
    hosts = [SERVER, SERVER6] * (TALKS // 2)
    truth = []
    with subprocess.Popen(link.there("python3", "-c", RELAY, str(TLS), *hosts),
                          stdout=subprocess.PIPE, text=True) as relay:
        port = relay.stdout.readline().strip()
        for n in range(TALKS):
            name = f"f{n}"
            ran = subprocess.run(
                link.there("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"),
                input=f"GET /{name} HTTP/1.0\r\n\r\n".encode(), capture_output=True, check=False,
                timeout=PATIENCE)
            assert ran.stdout.endswith((folder / "www" / name).read_bytes()), ran.stderr
            truth.append(tuple(json.loads(relay.stdout.readline())))
    return truth


def run_iperf(link, address, *options):
    """iperf3's report."""
    ran = subprocess.run(link.there("iperf3", "-c", address, "-p", str(IPERF), "-J", "-b", "300M",
                                    "--repeating-payload", "-l", str(BLOCK), *options),
                         capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(ran.stdout)


def iperf_payload(size):
    block = (b"0123456789" * (BLOCK // 10 + 1))[:BLOCK]
    return (block * (size // BLOCK + 1))[:size]


def check_iperf(checks, found, reports):
    """Every data connection has the cookie and the pattern, as long as iperf3 says."""
    for report, talker in reports:
        for stream in report["end"]["streams"]:
            port = next(c["local_port"] for c in report["start"]["connected"]
                        if c["socket"] == stream["sender"]["socket"])
            sides = [c.sides for c in found if (c.service, c.port) == (IPERF, port)][-1]
            sent = sides[talker][COOKIE if talker == 0 else 0:]
            least, most = stream["receiver"]["bytes"], stream["sender"]["bytes"]
            checks.that(least <= len(sent) <= most and len(sent) > 1_000_000,
                        f"iperf3: {len(sent)} bytes, sent {most}, received {least}")
            checks.that(sent == iperf_payload(len(sent)), "iperf3: the pattern")
            checks.that(len(sides[1 - talker]) == (0 if talker == 0 else COOKIE), "iperf3: back")


Captured = collections.namedtuple("Captured", "client port service sides")


def captured(out):
    """Every connection, with what the client and the server sent."""
    found = []
    for record in records(out):
        sides = [(pathlib.Path(out) / record[s]["file"]).read_bytes() if "file" in record[s]
                 else b"" for s in ("orig", "resp")]
        found.append(Captured(record["orig"]["addr"], record["orig"]["port"],
                              record["resp"]["port"], sides))
    return found


def same_multiset(checks, expected, found, what):
    expected, found = collections.Counter(expected), collections.Counter(found)
    wrong = list((expected - found) + (found - expected))
    checks.that(not wrong, f"{what}: {len(wrong)} of {expected.total()}, such as {wrong[:3]}")


def check_nginx_log(checks, folder, found):
    """The server's own count of what it got and sent on each connection."""
    sums = {}
    for line in (folder / "nginx.log").read_text(encoding="ascii").splitlines():
        serial, address, port, *sizes = line.split()
        count = sums.setdefault(serial, [address.removeprefix("::ffff:"), int(port), 0, 0])
        count[2] += int(sizes[0])
        count[3] += int(sizes[1])
    checks.equal(2 * (TRANSFERS + 1), len(sums), "connections that nginx had")
    same_multiset(checks, [tuple(count) for count in sums.values()],
                  [(c.client, c.port, *map(len, c.sides)) for c in found if c.service == HTTP],
                  "nginx counts otherwise")


def check_ledger(checks, out):
    packets = stats(out)["packets"]
    checks.equal(0, packets["missed"], "dropped by the kernel")
    checks.equal({"link0": {"received": packets["received"], "missed": 0}}, packets["interfaces"],
                 "dropped at the interface, said so")
    checks.that(balances(stats(out)), "the ledger")
    everything = records(out)
    checks.equal([], [r["uid"] for r in everything for s in ("orig", "resp") if r[s]["gap_bytes"]],
                 "gaps")
    checks.equal([], [r["uid"] for r in everything if r["orig"]["addr"] not in (CLIENT, CLIENT6)],
                 "who opened connections")
    checks.that(len(everything) > 1000, f"{len(everything)} connections")


def main():
    enter_namespaces()
    flowloom = os.path.abspath(sys.argv[1])
    checks = Checks()
    with scratch() as name, Link() as link, Servers(pathlib.Path(name)):
        folder, out = pathlib.Path(name), f"{name}/out"
        live = Live(flowloom, out, "--workers", "2", "--max-flows", "20000")
        truth = fetch(folder, link, SERVER) + fetch(folder, link, SERVER6) + talk_tls(folder, link)
        reports = [(run_iperf(link, SERVER, "-n", "20M", "-P", "2"), 0),
                   (run_iperf(link, SERVER6, "-n", "20M", "-R"), 1)]
        status, err = live.end()
        checks.equal(0, status, err)
        check_ledger(checks, out)
        found = captured(out)
        check_nginx_log(checks, folder, found)
        checks.equal(2 * (TRANSFERS + 1) + TALKS, len(truth), "connections with a truth")
        same_multiset(checks, truth, [(c.client, c.port, *map(sha256, c.sides)) for c in found
                                      if c.service != IPERF], "bytes differ")
        check_iperf(checks, found, reports)
        checks.equal(3 + 2, sum(c.service == IPERF for c in found), "iperf3's connections")
    checks.finish()


if __name__ == "__main__":
    main()
