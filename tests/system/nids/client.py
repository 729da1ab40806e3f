#!/usr/bin/env python3
"""A client of libnids that prints all it is told: one line an event, every field it may look at.
The same program runs against Debian's library and against flowloom's; what it prints must agree.

usage: client.py LIBRARY CAPTURE [NAME=VALUE...]

NAME is an integer field of nids_params, or one of
  discard    all (default), keep, half, one: how many bytes a callback takes
  collect    both (default), server, client, urgent, none
  callbacks  1, 2: the second collects the server's half only
  drive      run (default), dispatch, next, handler
  ip         1: registers ip, ip_frag and udp callbacks as well
  checksums  0: none are looked at
  ends       close, free: what a callback does with the stream in its third DATA event
  exact      1: flowloom's exact rules (through the environment)
  show       1: a line "EVENT HALF COUNT_NEW COUNT BYTES" instead of every field
"""
import ctypes as c
import os
import struct
import sys
import zlib


class Tuple4(c.Structure):
    _fields_ = [("source", c.c_ushort), ("dest", c.c_ushort),
                ("saddr", c.c_uint), ("daddr", c.c_uint)]


class Half(c.Structure):
    _fields_ = [("state", c.c_byte), ("collect", c.c_byte), ("collect_urg", c.c_byte),
                ("data", c.c_void_p), ("offset", c.c_int), ("count", c.c_int),
                ("count_new", c.c_int), ("bufsize", c.c_int), ("rmem_alloc", c.c_int),
                ("urg_count", c.c_int), ("acked", c.c_uint), ("seq", c.c_uint),
                ("ack_seq", c.c_uint), ("first_data_seq", c.c_uint), ("urgdata", c.c_ubyte),
                ("count_new_urg", c.c_ubyte), ("urg_seen", c.c_ubyte), ("urg_ptr", c.c_uint),
                ("window", c.c_ushort), ("ts_on", c.c_ubyte), ("wscale_on", c.c_ubyte),
                ("curr_ts", c.c_uint), ("wscale", c.c_uint), ("list", c.c_void_p),
                ("tail", c.c_void_p)]


class Stream(c.Structure):
    _fields_ = [("addr", Tuple4), ("state", c.c_byte), ("listeners", c.c_void_p),
                ("client", Half), ("server", Half), ("next_node", c.c_void_p),
                ("prev_node", c.c_void_p), ("hash_index", c.c_int), ("next_time", c.c_void_p),
                ("prev_time", c.c_void_p), ("read", c.c_int), ("next_free", c.c_void_p),
                ("user", c.c_void_p), ("ts", c.c_long)]


class Params(c.Structure):
    _fields_ = [("n_tcp_streams", c.c_int), ("n_hosts", c.c_int), ("device", c.c_char_p),
                ("filename", c.c_char_p), ("sk_buff_size", c.c_int), ("dev_addon", c.c_int),
                ("syslog", c.c_void_p), ("syslog_level", c.c_int), ("scan_num_hosts", c.c_int),
                ("scan_delay", c.c_int), ("scan_num_ports", c.c_int), ("no_mem", c.c_void_p),
                ("ip_filter", c.c_void_p), ("pcap_filter", c.c_char_p), ("promisc", c.c_int),
                ("one_loop_less", c.c_int), ("pcap_timeout", c.c_int), ("multiproc", c.c_int),
                ("queue_limit", c.c_int), ("tcp_workarounds", c.c_int), ("pcap_desc", c.c_void_p),
                ("tcp_flow_timeout", c.c_int)]


class Checksums(c.Structure):
    _fields_ = [("netaddr", c.c_uint), ("mask", c.c_uint), ("action", c.c_uint),
                ("reserved", c.c_uint)]


class ScanHost(c.Structure):
    _fields_ = [("next", c.c_void_p), ("prev", c.c_void_p), ("addr", c.c_uint),
                ("modtime", c.c_int), ("n_packets", c.c_int), ("packets", c.c_void_p)]


EVENTS = {1: "JUST_EST", 2: "DATA", 3: "CLOSE", 4: "RESET", 5: "TIMED_OUT", 6: "EXITING"}
QUIET = {"data", "list", "tail", "acked"}
TCP = c.CFUNCTYPE(None, c.POINTER(Stream), c.POINTER(c.c_void_p))
IP = c.CFUNCTYPE(None, c.POINTER(c.c_ubyte), c.c_int)
UDP = c.CFUNCTYPE(None, c.POINTER(Tuple4), c.c_void_p, c.c_int, c.c_void_p)
SYSLOG = c.CFUNCTYPE(None, c.c_int, c.c_int, c.c_void_p, c.c_void_p)
HANDLER = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_void_p)


def half_text(half):
    fields = [f"{name}={getattr(half, name)}" for name, _ in Half._fields_ if name not in QUIET]
    shown = half.count - half.offset
    data = c.string_at(half.data, shown) if half.data and shown > 0 else b""
    return " ".join(fields) + f" data={zlib.crc32(data):08x}"


class Client:
    def __init__(self, library, options):
        self.lib = c.CDLL(library)
        self.options = options
        self.events = {}
        self.kept = []  # callbacks must live as long as the library may call them
        self.params = Params.in_dll(self.lib, "nids_params")

    def say(self, *words):
        print(*words, flush=True)

    def discard(self, stream):
        seen = stream.contents
        half = seen.server if seen.server.count_new else seen.client
        how = self.options.get("discard", "all")
        amount = {"all": None, "keep": 0, "half": (half.count - half.offset) // 2, "one": 1}[how]
        if amount is not None:
            self.lib.nids_discard(stream, amount)

    def collect(self, seen, what):
        if what in ("both", "server"):
            seen.server.collect += 1
        if what in ("both", "client"):
            seen.client.collect += 1
        if what in ("both", "urgent"):
            seen.server.collect_urg += 1
            seen.client.collect_urg += 1

    def show(self, seen):
        name, half = ("C", seen.client) if seen.client.count_new else ("S", seen.server)
        if seen.state != 2:
            self.say(EVENTS[seen.state])
        elif half.count_new_urg:
            self.say("URGENT", name, half.urgdata)
        else:
            self.say("DATA", name, half.count_new, half.count,
                     c.string_at(half.data, half.count - half.offset).decode("latin1"))

    def tcp(self, name, what):
        def callback(stream, param):
            seen = stream.contents
            ends = f"{seen.addr.source}->{seen.addr.dest}"
            if seen.state == 1:
                param[0] = len(self.events) + 1
                self.events[param[0]] = 0
                if self.options.get("show") == "1":
                    self.say("JUST_EST")
                    self.collect(seen, what)
                    return
                self.say(ends, name, "JUST_EST ts", seen.ts, "C:", half_text(seen.client), "S:",
                         half_text(seen.server))
                self.collect(seen, what)
                return
            if self.options.get("show") == "1":
                self.show(seen)
            else:
                self.say(ends, name, EVENTS[seen.state], "C:", half_text(seen.client), "S:",
                         half_text(seen.server))
            if seen.state != 2:
                return
            self.events[param[0]] += 1
            if self.events[param[0]] == 3 and self.options.get("ends") == "close":
                seen.server.collect = 0
            if not (seen.server.count_new_urg or seen.client.count_new_urg):
                self.discard(stream)
        return callback

    def syslog(self, kind, error, packet, data):
        text = ""
        if kind == 4:
            host = ScanHost.from_address(data)
            scans = [struct.unpack_from("<IHB", c.string_at(host.packets, 8 * host.n_packets), at)
                     for at in range(0, 8 * host.n_packets, 8)]
            text = f"{host.addr:08x} {scans}"
        elif packet and error != 4:  # who has a bad header may be shorter than one
            header = c.string_at(packet, 20)
            text = header[:10].hex() + " " + header[12:].hex()
        self.say("SYSLOG", kind, error, text)

    def register(self, name, kind, function):
        self.kept.append(kind(function))
        getattr(self.lib, name)(self.kept[-1])

    def register_all(self):
        what = self.options.get("collect", "both")
        self.register("nids_register_tcp", TCP, self.tcp("first", what))
        if self.options.get("callbacks") == "2":
            self.register("nids_register_tcp", TCP, self.tcp("second", "server"))
        if self.options.get("ip") != "1":
            return
        ip = lambda name, whole: lambda packet, size: self.say(
            name, size if whole else "", bytes(packet[0:min(size, 10)]).hex(),
            bytes(packet[12:min(size, 20)]).hex())
        self.register("nids_register_ip_frag", IP, ip("FRAGMENT", True))
        self.register("nids_register_ip", IP, ip("IP", False))
        self.register("nids_register_udp", UDP, lambda ends, data, size, _: self.say(
            "UDP", ends.contents.source, ends.contents.dest, size,
            zlib.crc32(c.string_at(data, size))))

    def drive(self, capture):
        how = self.options.get("drive", "run")
        if how == "run":
            self.say("run", self.lib.nids_run())
        elif how == "dispatch":
            count = -1
            while count:
                count = self.lib.nids_dispatch(7)
                self.say("dispatch", count)
                if count < 0:
                    break
        elif how == "next":
            while self.lib.nids_next() == 1:
                self.say("next")
        else:
            self.handler(capture)
        self.say("errbuf", c.string_at(c.addressof(
            (c.c_char * 256).in_dll(self.lib, "nids_errbuf"))))
        self.lib.nids_exit()

    def handler(self, capture):
        pcap = c.CDLL("libpcap.so.0.8")
        pcap.pcap_open_offline.restype = c.c_void_p
        pcap.pcap_loop.argtypes = [c.c_void_p, c.c_int, c.c_void_p, c.c_void_p]
        opened = pcap.pcap_open_offline(capture.encode(), c.create_string_buffer(256))
        self.lib.nids_pcap_handler.argtypes = [c.c_void_p, c.c_void_p, c.c_void_p]
        pcap.pcap_loop(opened, -1, c.cast(self.lib.nids_pcap_handler, c.c_void_p), None)

    def run(self, capture):
        names = {name for name, kind in Params._fields_ if kind is c.c_int}
        for name, value in self.options.items():
            if name in names:
                setattr(self.params, name, int(value))
        if "pcap_filter" in self.options:
            self.params.pcap_filter = self.options["pcap_filter"].encode()
        self.params.filename = capture.encode()
        self.kept.append(SYSLOG(self.syslog))
        self.params.syslog = c.cast(self.kept[-1], c.c_void_p).value
        if self.options.get("checksums") == "0":
            self.control = Checksums(0, 0, 1, 0)
            self.lib.nids_register_chksum_ctl(c.byref(self.control), 1)
        if not self.lib.nids_init():
            self.say("init failed", c.string_at(c.addressof(
                (c.c_char * 256).in_dll(self.lib, "nids_errbuf"))))
            return
        self.register_all()
        self.drive(capture)


def main():
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    if options.pop("exact", "0") == "1":
        os.environ["FLOWLOOM_NIDS"] = "exact"
    Client(sys.argv[1], options).run(sys.argv[2])


if __name__ == "__main__":
    main()
