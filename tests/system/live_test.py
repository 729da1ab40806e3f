#!/usr/bin/env python3
"""flowloom live on real interfaces: virtual links between two network namespaces, real sockets at
both ends. What the programs sent is the truth.

usage: live_test.py FLOWLOOM
"""
import hashlib
import json
import os
import pathlib
import random
import select
import signal
import subprocess
import sys
import threading
import time

from live_support import (PATIENCE, SERVER, SERVER6, Link, Live, enter_namespaces, flood, ip,
                          send_frames, serve)
from support import ACK, PSH, SAMPLE, Checks, Talk, balances, records, scratch, stats

PORT = 8080


def answer(connection, sent):
    """Reads a size and as many bytes, and sends a content of its own back."""
    with connection:
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            piece = connection.recv(65536)
            if not piece:
                return
            data += piece
        reply = random.Random(len(data)).randbytes(len(data) * 3 % 300_000 + 1)
        sent.append((hashlib.sha256(data).hexdigest(), hashlib.sha256(reply).hexdigest()))
        connection.sendall(reply)


def answer_all(server, sent):
    """A thread for each connection."""
    while True:
        connection = server.accept()[0]
        threading.Thread(target=answer, args=(connection, sent), daemon=True).start()


CLIENTS = f"""
import random, socket, sys
for n in range(int(sys.argv[1])):
    content = random.Random(n).randbytes(random.Random(n).randrange(1, 200_000))
    with socket.create_connection((["{SERVER}", "{SERVER6}"][n % 2], {PORT})) as s:
        s.sendall(len(content).to_bytes(4, "big") + content)
        while s.recv(65536): pass
"""


def talk(link, count):
    subprocess.run(link.there(sys.executable, "-c", CLIENTS, str(count)), check=True,
                   timeout=PATIENCE)


def digests(out):
    """(digest of what the originator sent, of the answer) of each connection that was written."""
    found = []
    for record in records(out):
        sides = [hashlib.sha256((pathlib.Path(out) / record[s]["file"]).read_bytes()).hexdigest()
                 if "file" in record[s] else "" for s in ("orig", "resp")]
        found.append(tuple(sides))
    return found


def check_transfers(checks, flowloom, link, sent, folder):
    for workers in (1, 2, 4):
        out = f"{folder}/out{workers}"
        sent.clear()
        live = Live(flowloom, out, "--workers", str(workers), "--max-flows", "10000")
        checks.that("listening on link0" in live.ready, f"ready: {live.ready}")
        talk(link, 40)
        status, err = live.end()
        what = f"{workers} workers"
        checks.equal(0, status, f"{what}: {err}")
        checks.equal(0, stats(out)["packets"]["missed"], f"{what}: missed")
        checks.that(balances(stats(out)), f"{what}: the ledger")
        checks.equal(40, len(sent), f"{what}: what the server saw")
        checks.equal(sorted(sent), sorted(digests(out)), f"{what}: every byte")
        gaps = [g for r in records(out) for s in ("orig", "resp") for g in r[s]["gaps"]]
        checks.equal([], gaps, f"{what}: gaps")


def check_open_streams(checks, flowloom, link, folder):
    """Ctrl-C writes what is open, up to its last byte."""
    out = f"{folder}/open"
    live = Live(flowloom, out, "--max-flows", "10000")
    client = subprocess.Popen(link.there(sys.executable, "-c", f"""
import socket, sys
s = socket.create_connection(("{SERVER}", {PORT}))
s.sendall((100).to_bytes(4, "big") + b"half")
sys.stdin.read()"""), stdin=subprocess.PIPE)
    time.sleep(1)
    status, err = live.end(signal.SIGTERM)
    client.communicate()
    checks.equal(0, status, err)
    files = [(pathlib.Path(out) / r["orig"]["file"]).read_bytes() for r in records(out)]
    checks.equal([b"\0\0\0\x64half"], files, "an open stream")
    checks.equal(["eof"], [r["close"] for r in records(out)], "how it ended")


def check_limits(checks, flowloom, link, folder):
    """--packets, --duration, stamps of now with nanoseconds, VLAN tags, and refusals."""
    out = f"{folder}/packets"
    live = Live(flowloom, out, "--packets", "50", "--max-flows", "10000")
    talk(link, 5)
    checks.equal(0, live.end(None)[0], "--packets ends")
    checks.equal(50, stats(out)["packets"]["received"], "--packets 50")
    starts = [r["start"] for r in records(out)]
    checks.that(any(not s.endswith("000Z") for s in starts), f"nanoseconds: {starts}")
    checks.that(starts[0][:13] == time.strftime("%Y-%m-%dT%H", time.gmtime()), starts[0])
    begin = time.monotonic()
    live = Live(flowloom, f"{folder}/duration", "--duration", "0.5", "--max-flows", "10000")
    checks.equal(0, live.end(None)[0], "--duration ends")
    checks.that(0.4 < time.monotonic() - begin < 10, "--duration 0.5")
    for interface in ("nothing0", ""):
        ran = subprocess.run([flowloom, "live", "-i", interface, "-o", f"{folder}/no"],
                             capture_output=True, text=True, check=False)
        checks.equal(2, ran.returncode, f"-i '{interface}': {ran.stderr}")
        checks.that(not os.path.exists(f"{folder}/no"), "no folder for nothing")


def check_vlan(checks, flowloom, link, folder):
    """The kernel takes the tag out of a frame before it shows it; it is put back."""
    talk = Talk().open(0).say(0, 0, PSH | ACK, b"tagged").close(0)
    frames = [packet[16:] for _, packet in talk.packets]
    tagged = [f[:12] + b"\x81\0\0\7" + f[12:] for f in frames]
    out = f"{folder}/vlan"
    live = Live(flowloom, out, "--max-flows", "10000")
    send_frames(link, [("link1", frame) for frame in tagged])
    checks.equal(0, live.end()[0], "VLAN")
    checks.equal([([7], 6)], [(r.get("vlan"), r["orig"]["stream_bytes"]) for r in records(out)],
                 "VLAN tags")


FLOODED = 3_000  # frames of 1500 bytes: several times what the ring holds


def check_overrun(checks, flowloom, link, folder):
    """What the kernel had to drop while nobody read is counted, each packet once, exactly."""
    for workers in (1, 2):
        out = f"{folder}/overrun{workers}"
        live = Live(flowloom, out, "--max-flows", "10000", "--ring-size", "1M", "--workers",
                    str(workers), interfaces=["tap0"])
        live.process.send_signal(signal.SIGSTOP)
        flood(link, "far0", FLOODED)
        live.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        flood(link, "far0", 10)  # there is room again
        time.sleep(0.1)
        status, err = live.end()
        checks.equal(0, status, f"overrun: {err}")
        packets = stats(out)["packets"]
        checks.equal(FLOODED + 10, packets["received"] + packets["missed"], "overrun: the sum")
        checks.equal(packets["received"], packets["verdicts"]["not_ip"], "overrun: verdicts")
        checks.that(packets["missed"] > 1000 and packets["received"] > 100,
                    f"overrun: {packets['missed']} missed, {packets['received']} received")
        checks.equal({"tap0": {"received": packets["received"], "missed": packets["missed"]}},
                     packets["interfaces"], "overrun: of the interface")
        checks.that(f"{packets['missed']} dropped" in err, f"overrun: said so: {err}")


def check_tap(checks, flowloom, link, folder):
    """Each direction on a port of its own: an acknowledgement may reach us before its data, since
    the kernel hands the ports' packets over in blocks. It must not be taken for a loss."""
    talks = [Talk(n).open(0) for n in range(1, 6)]
    content = random.Random(1).randbytes(1400 * 5 * 400)
    for at in range(0, len(content), 1400):
        up = at % 2800 == 0  # data flows both ways, so either port may be the late one
        talk = talks[at // 1400 % 5]
        talk.say(0, 0 if up else 1, PSH | ACK, content[at:at + 1400]).say(0, 1 if up else 0, ACK)
    frames = [(f"far{int(frame[16 + 26] == 10 and frame[16 + 27] == 8)}", frame[16:])
              for parts in zip(*(t.close(0).packets for t in talks)) for _, frame in parts]
    for workers in (1, 2):
        out = f"{folder}/tap{workers}"
        live = Live(flowloom, out, "--max-flows", "10000", "--workers", str(workers),
                    interfaces=["tap0", "tap1"])
        checks.that("listening on tap0, tap1" in live.ready, f"tap: {live.ready}")
        send_frames(link, frames)
        status, err = live.end()
        checks.equal(0, status, f"tap: {err}")
        check_tap_streams(checks, out, talks, f"tap, {workers} workers")


def check_tap_streams(checks, out, talks, what):
    packets = stats(out)["packets"]
    both = packets["interfaces"]
    checks.equal([len(t.packets) for t in talks],
                 [r["orig"]["packets"] + r["resp"]["packets"] for r in records(out)],
                 f"{what}: packets")
    checks.that(both["tap0"]["received"] > 1000 and both["tap1"]["received"] > 1000,
                f"{what}: {both}")
    checks.equal(packets["received"], sum(i["received"] for i in both.values()), f"{what}: sum")
    checks.equal(0, packets["missed"], f"{what}: missed")
    odd = [(r[s]["gap_bytes"], r[s]["out_of_order"], r["anomalies"])
           for r in records(out) for s in ("orig", "resp")]
    checks.equal([(0, 0, {})] * 10, odd, f"{what}: in order")
    expected = sorted(hashlib.sha256(b"".join(payloads(t, side))).hexdigest()
                      for t in talks for side in (0, 1))
    checks.equal(expected, sorted(d for pair in digests(out) for d in pair), f"{what}: bytes")
    checks.that(balances(stats(out)), f"{what}: the ledger")


def payloads(talk, side):
    """What one side said, packet by packet."""
    for _, packet in talk.packets:
        frame = packet[16:]
        if frame[26:30] == talk.addresses[side]:
            yield frame[34 + (frame[46] >> 4) * 4:]


def check_silence(checks, flowloom, link, folder):
    """On a silent interface time-outs still end connections, and their records are written."""
    for interfaces in (["tap0"], ["tap0", "tap1"]):
        live = Live(flowloom, f"{folder}/quiet{len(interfaces)}", "--max-flows", "10000", "--json",
                    "--closed-timeout", "0.3", "--idle-timeout", "1", interfaces=interfaces,
                    stdout=subprocess.PIPE)
        done = Talk(1).open(0).say(0, 0, PSH | ACK, b"done").close(0)
        idle = Talk(2).open(0).say(0, 0, PSH | ACK, b"idle")
        send_frames(link, [("far0", frame[16:]) for _, frame in done.packets + idle.packets])
        printed = [json.loads(live.process.stdout.readline()) for _ in range(2)]
        checks.equal(["fin", "idle"], [r["close"] for r in printed], f"silence: {interfaces}")
        checks.equal(0, live.end()[0], "silence: the end")


def check_silent_ports(checks, flowloom, link, folder):
    """The same on DPDK's ports: one that stamps what it reads, one that has the kernel's stamps."""
    for device in ("net_af_packet0,iface=tap0", "net_pcap0,rx_iface=tap0"):
        process = subprocess.Popen(
            [flowloom, "run", "--vdev", device, "--", "-o", f"{folder}/{device[:6]}", "--json",
             "--max-flows", "10000", "--closed-timeout", "0.3", "--idle-timeout", "1", "-v"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "reserved" not in (line := process.stderr.readline()):
            checks.that(line, f"{device}: it starts")
        done = Talk(1).open(0).say(0, 0, PSH | ACK, b"done").close(0)
        idle = Talk(2).open(0).say(0, 0, PSH | ACK, b"idle")
        send_frames(link, [("far0", frame[16:]) for _, frame in done.packets + idle.packets])
        ready = [bool(select.select([process.stdout], [], [], PATIENCE)[0])]
        checks.equal([True], ready, f"{device}: a record on the silent port")
        printed = [json.loads(process.stdout.readline()) for _ in range(2)] if ready[0] else []
        checks.equal(["fin", "idle"], [r["close"] for r in printed], f"silence: {device}")
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=PATIENCE)[1]
        checks.equal(0, process.returncode, f"{device}: the end: {err}")


def check_vanished(checks, flowloom, link, folder):
    """An interface that goes away is reported at the end; the other is captured as before."""
    out = f"{folder}/vanished"
    live = Live(flowloom, out, "--max-flows", "10000", interfaces=["tap0", "tap1"])
    for n, name in ((1, "far0"), (2, "far1")):
        talk_ = Talk(n).open(0).say(0, 0, PSH | ACK, b"said").close(0)
        send_frames(link, [(name, frame[16:]) for _, frame in talk_.packets])
        if n == 1:
            time.sleep(0.1)
            ip("link", "del", "tap0")
    status, err = live.end()
    checks.equal(3, status, f"vanished: {err}")
    checks.that("tap0: The interface disappeared" in err, f"vanished: {err}")
    checks.equal([4, 4], [r["orig"]["stream_bytes"] for r in records(out)], "vanished: streams")
    checks.that(balances(stats(out)), "vanished: the ledger")


def check_devices(checks, flowloom, folder):
    """-i names a virtual device of DPDK; kernel and DPDK do not mix."""
    out = f"{folder}/device"
    ran = subprocess.run([flowloom, "live", "-i", f"net_pcap0,rx_pcap={SAMPLE}", "-o", out],
                         capture_output=True, text=True, check=False)
    checks.equal(0, ran.returncode, f"a virtual device: {ran.stderr}")
    checks.that(len(records(out)) > 10, "a virtual device: records")
    whole = stats(out)["packets"]["received"]
    ran = subprocess.run([flowloom, "live", "-i", f"net_pcap0,rx_pcap={SAMPLE},infinite_rx=1",
                          "--packets", str(3 * whole + 7), "-o", f"{folder}/endless"],
                         capture_output=True, text=True, check=False)
    checks.equal(0, ran.returncode, f"--packets of a device: {ran.stderr}")
    checks.equal(3 * whole + 7, stats(f"{folder}/endless")["packets"]["received"], "--packets")
    begin = time.monotonic()
    ran = subprocess.run([flowloom, "live", "-i", "net_null0", "--duration", "0.3", "-o",
                          f"{folder}/null", "--workers", "1"],
                         capture_output=True, text=True, check=False)
    checks.equal(0, ran.returncode, f"--duration of a device: {ran.stderr}")
    checks.that(0.3 < time.monotonic() - begin < 10, "--duration of a device")
    for wrong in (["link0", "link0"], ["link0", "net_null0"], ["link0", "0000:00:00.0"]):
        names = [word for name in wrong for word in ("-i", name)]
        ran = subprocess.run([flowloom, "live", *names, "-o", f"{folder}/no"],
                             capture_output=True, text=True, check=False)
        checks.equal(1, ran.returncode, f"{wrong}: {ran.stderr}")
        checks.that(not os.path.exists(f"{folder}/no"), f"{wrong}: no folder")


def main():
    enter_namespaces()
    flowloom = os.path.abspath(sys.argv[1])
    checks, sent = Checks(), []
    with scratch() as folder, Link() as link:
        serve(PORT, lambda server: answer_all(server, sent))
        check_transfers(checks, flowloom, link, sent, folder)
        check_open_streams(checks, flowloom, link, folder)
        check_limits(checks, flowloom, link, folder)
        check_vlan(checks, flowloom, link, folder)
        link.add_quiet("tap0", "far0")
        link.add_quiet("tap1", "far1")
        check_overrun(checks, flowloom, link, folder)
        check_tap(checks, flowloom, link, folder)
        check_silence(checks, flowloom, link, folder)
        check_silent_ports(checks, flowloom, link, folder)
        check_devices(checks, flowloom, folder)
        check_vanished(checks, flowloom, link, folder)
    checks.finish()


if __name__ == "__main__":
    main()
