"""TCPStreamExtractor: streams of a capture as a dictionary, packet by packet if need be.

Programs written for the extractor of this name that stands on scapy find its methods here, done by
flowloom's engine: IPv6, fragments, retransmissions and disorder are dealt with, nothing is lost
between packets of one time stamp, and a capture may be larger than memory.
"""
import os
import time
import typing

from . import _flowloom, couchdb, writers

ETHERNET = 1
RAW_IP = 101
# Names of scapy's layers that a frame may begin with -> LINKTYPE_ number.
LINK_TYPES = {"Ether": ETHERNET, "Dot3": ETHERNET, "IP": RAW_IP, "IPv6": RAW_IP,
              "CookedLinux": 113, "CookedLinuxV2": 276, "Loopback": 0, "RadioTap": 127,
              "Dot11": 105, "PPP": 9}
MEMORY_LIMIT = 256 << 20


class Packet(typing.NamedTuple):
    """A packet as it was captured. bytes(packet) is its frame; scapy() makes scapy's packet."""
    time: float
    data: bytes
    linktype: int
    wire_length: int
    time_ns: int
    stream: int

    def __bytes__(self):
        return self.data

    def __len__(self):
        return len(self.data)

    def scapy(self):
        """The packet as scapy dissects it (scapy must be installed)."""
        from scapy.config import conf  # pylint: disable=import-outside-toplevel
        from scapy.packet import Raw  # pylint: disable=import-outside-toplevel
        import scapy.layers.all  # noqa: F401, pylint: disable=import-outside-toplevel,unused-import
        number = 12 if self.linktype == RAW_IP else self.linktype  # DLT_RAW
        packet = conf.l2types.num2layer.get(number, Raw)(self.data)
        packet.time = self.time
        return packet


class _View(typing.NamedTuple):
    """What the engine says of a stream."""
    client: tuple
    server: tuple
    key: str
    closed: bool
    first_ns: int
    last_ns: int
    client_bytes: int
    server_bytes: int
    packets: int


def _nanoseconds(timestamp):
    """Decimals, such as scapy's, are exact; a float of seconds is good for microseconds."""
    if isinstance(timestamp, float):
        return round(timestamp * 1e6) * 1000
    return int(timestamp * 1_000_000_000)


class TCPStreamExtractor:
    """Extracts the TCP streams of a capture, of an interface, or of packets that are fed.

    >>> extractor = flowloom.TCPStreamExtractor("samples/sample.pcap")
    >>> streams = extractor.get_streams()
    >>> sorted(streams)[0]
    '192.0.2.10:40001 ==> 192.0.2.1:80'
    >>> streams['192.0.2.10:40001 ==> 192.0.2.1:80'][40001][:14]
    b'GET /index.htm'

    filename        a capture, or a list of captures
    packet_list     packets (scapy's, or bytes of Ethernet frames) to be fed at once
    outputdir       where write_stream() writes; run() then writes every stream, as the capture is
                    read, and holds no more than `memory_limit` bytes
    bpf_filter      pcap-filter(7)
    dbname          CouchDB database (a name on http://localhost:5984, or a URL) for write_stream()
    iface           an interface to listen to
    hold_packets    whether packets are held for write_stream(); by default where they are needed

    Other options are those of flowloom.streams(). The order of arguments of the oldest extractor,
    (filename, outputdir, dbname, pcap_filters), is understood as well.
    """

    timer = 4.0  # the name is kept; cleaning up follows the packets' time, not the wall's

    def __init__(self, filename=None, packet_list=None, process_packets=True, outputdir=None,
                 bpf_filter=None, *, dbname=None, pcap_filters=None, iface=None,
                 hold_packets=None, memory_limit=MEMORY_LIMIT, **options):
        if isinstance(packet_list, (str, os.PathLike)):
            packet_list, outputdir = None, packet_list
            if isinstance(process_packets, (str, os.PathLike)):
                process_packets, dbname = True, process_packets
        if sum(given is not None for given in (filename, iface)) > 1:
            raise TypeError("name captures or an interface, not both")
        self.filename = filename
        self.iface = iface
        self.outputdir = outputdir
        self.dbname = dbname
        self.memory_limit = memory_limit
        self.timestamp = 0
        self.data_streams = {}
        self._options = dict(options, bpf_filter=bpf_filter or pcap_filters or None)
        self._fed = filename is None and iface is None
        writes = outputdir is not None or dbname is not None
        self._hold = writes or (filename is None if hold_packets is None else hold_packets)
        self._engine = None
        self._ended = False
        self._writers = {}
        self._names = {}
        if self._paths():
            for path in self._paths():
                os.stat(path)
        if self._hold or self._fed:
            self._start("packets" if self._hold else "steps")
        if packet_list is not None:
            for packet in packet_list:
                self.feed(packet)
            if process_packets:
                self.process_packets()

    # Taking packets in

    def next(self):
        """Takes one packet in and returns it, of whatever protocol; StopIteration at the end.

        >>> extractor = flowloom.TCPStreamExtractor("samples/sample.pcap")
        >>> packet = extractor.next()
        >>> len(packet), packet.linktype, extractor.timestamp == int(packet.time)
        (42, 1, True)
        """
        self._start("steps")
        found = None if self._ended else self._engine.step()
        if found is None:
            self._end()
            raise StopIteration
        stamp_ns, frame, wire_length, linktype, stream = found
        self.timestamp = stamp_ns // 1_000_000_000
        return Packet(stamp_ns / 1e9, frame, linktype, wire_length, stamp_ns, stream)

    __next__ = next

    def __iter__(self):
        return self

    def feed(self, packet, timestamp=None, linktype=None):
        """Takes in a packet that the program has: scapy's, or bytes.

        timestamp       seconds; of bytes by default the time of day, of scapy's packets theirs
        linktype        LINKTYPE_ number; of bytes by default Ethernet (1)
        """
        if not self._fed:
            raise ValueError("this extractor reads by itself: feed() is for one made without a "
                             "capture and an interface")
        self._start("packets")
        wire_length = 0
        if not isinstance(packet, (bytes, bytearray, memoryview)):
            if linktype is None:
                linktype = LINK_TYPES.get(type(packet).__name__)
                if linktype is None:
                    raise ValueError(f"a packet that begins with {type(packet).__name__}: give "
                                     "its linktype=")
            if timestamp is None:
                timestamp = packet.time
            wire_length = getattr(packet, "wirelen", None) or 0
            packet = bytes(packet)
        if timestamp is None:
            timestamp = time.time()
        stamp_ns = _nanoseconds(timestamp)
        self._engine.feed(packet, stamp_ns, ETHERNET if linktype is None else linktype,
                          wire_length)
        self.timestamp = stamp_ns // 1_000_000_000

    def run(self):
        """Takes everything in. With outputdir or dbname, writes every stream: at the end, or
        before that where more than memory_limit bytes are held."""
        writes = self.outputdir is not None or self.dbname is not None
        self._start("packets" if self._hold else "bytes")
        if not self._fed:
            limit = self.memory_limit if writes else 1 << 62
            while not self._ended and self._engine.take_in(limit):
                self._make_room()
        self._end()
        if writes:
            for key in list(self._keys()):
                self.write_stream(key)

    def process_packets(self):
        """Takes everything in; returns (number of packets, get_streams())."""
        if not self._fed:
            self.run()
        self.data_streams = self.get_streams()
        return self._engine.statistics["packets"], self.data_streams

    def finish(self):
        """No packet follows: every connection ends."""
        self._start("steps")
        if not self._ended:
            self._engine.finish()
        self._end()

    def close(self):
        """Ends the input early."""
        if self._engine is not None and not self._ended:
            self._engine.interrupt()
            self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What was found

    def streams(self):
        """Every connection so far as (key, client bytes, server bytes), in the order in which they
        began; unlike get_streams() also where both ports are the same."""
        self._read_all()
        return [(key, *self._content(key, number)) for key, number in self._keys().items()]

    def get_streams(self):
        """{'SRC:SPORT ==> DST:DPORT': {SPORT: bytes to the server, DPORT: bytes to the client}}.

        End points that were used again get ' #2', ' #3', ... behind their key.
        """
        self._read_all()
        found = {}
        for key, number in self._keys().items():
            view = self._view(number)
            if view.client[1] == view.server[1]:
                raise ValueError(f"{key}: both ports are {view.client[1]}, so a dictionary by "
                                 "port cannot hold both directions; use streams()")
            client, server = self._content(key, number)
            found[key] = {view.client[1]: client, view.server[1]: server}
        return found

    def get_client_server_streams(self, key=None):
        """{key: {'client': bytes of the client, 'server': bytes of the server}}; for one key, or if
        there is only one stream, the inner dictionary itself."""
        found = {name: {"client": client, "server": server}
                 for name, client, server in self.streams() if key in (None, name)}
        if key is not None and not found:
            raise KeyError(key)
        return next(iter(found.values())) if len(found) == 1 else found

    def summary(self):
        """Sorted lines "KEY (c) BYTES  (s) BYTES": what the client and what the server sent.

        >>> flowloom.TCPStreamExtractor("samples/sample.pcap").summary()[0]
        '192.0.2.10:40001 ==> 192.0.2.1:80 (c) 102  (s) 2137'
        """
        self._read_all()
        views = ((key, self._view(number)) for key, number in self._keys().items())
        return sorted(f"{key} (c) {view.client_bytes}  (s) {view.server_bytes}"
                      for key, view in views)

    def gaps(self, key):
        """Lists of flowloom.Gap of the client's and of the server's bytes."""
        number = self._number(key)
        return self._engine.gaps(number, 0), self._engine.gaps(number, 1)

    def info(self, key):
        """The flowloom.StreamInfo of a stream."""
        return self._engine.info(self._number(key))

    @property
    def statistics(self):
        """The ledger so far: packets, bytes, connections."""
        self._start("bytes")
        return self._engine.statistics

    # Writing

    def write_stream(self, key, cnt=None):
        """Writes what is held of a stream and was not written yet: PCAP and app_flow files, and
        a document where a database was named. `cnt` packets at most, by default all.

        The files are NAME.pcap in outputdir/pcaps and NAME.app_flow in outputdir/flows (without
        outputdir, in the current folder), NAME being T:TIME_C:ADDRESS:PORT_S:ADDRESS:PORT.
        """
        number = self._number(key)
        if not self._hold:
            self._hold_again()
            number = self._number(key)
        if number not in self._writers:
            view = self._view(number)
            self._writers[number] = writers.StreamWriter(
                self.outputdir, writers.stream_name(view.first_ns, view.client, view.server))
        packets = self._engine.packets(number)
        self._writers[number].write(packets if cnt is None else packets[:cnt])
        if self.dbname is not None and self._view(number).closed:
            couchdb.Database(self.dbname).write(self._document(number))

    def remove_stream(self, key):
        """Forgets a stream. What still comes of it is not kept."""
        number = self._number(key)
        self._engine.remove(number)
        self._writers.pop(number, None)
        self._names.pop(number, None)

    def cleanup_timedout_streams(self, timeout=180.0):
        """Writes and forgets streams without a packet for `timeout` seconds of packet time.
        Returns their keys."""
        self._start("packets" if self._hold else "steps")
        latest = self._engine.last_ns
        stale = [key for key, number in self._keys().items()
                 if latest - self._view(number).last_ns > timeout * 1e9]
        for key in stale:
            self.write_stream(key)
            self.remove_stream(key)
        return stale

    # How it is done

    def _paths(self):
        if self.filename is None:
            return []
        if isinstance(self.filename, (str, bytes, os.PathLike)):
            return [os.fsdecode(self.filename)]
        return [os.fsdecode(path) for path in self.filename]

    def _start(self, keep):
        if self._engine is not None:
            return
        self._engine = _flowloom.Collector(self._options, keep)
        if self.filename is not None:
            self._engine.open(self._paths())
        elif self.iface is not None:
            self._engine.open_live(self.iface)

    def _end(self):
        if not self._ended:
            self._ended = True
            if not self._fed:
                self._engine.warn()

    def _read_all(self):
        """What was named is read to its end; an interface, and what is fed, is as it is."""
        self._start("bytes")
        if self.filename is not None and not self._ended:
            while self._engine.take_in(1 << 62):
                pass
            self._end()

    def _hold_again(self):
        """A capture was read without holding packets: it is read once more."""
        if self.filename is None:
            raise ValueError("no packets are held: make the extractor with hold_packets=True")
        self._engine, self._ended, self._hold = None, False, True
        self._names = {}
        self._start("packets")
        self._read_all()

    def _make_room(self):
        """Ended streams are written and forgotten; what others hold is written."""
        for key, number in list(self._keys().items()):
            if self._view(number).closed:
                self.write_stream(key)
                self.remove_stream(key)
        if self._engine.held_bytes > self.memory_limit // 2:
            for key, number in list(self._keys().items()):
                self.write_stream(key)
                self._engine.drop_content(number)
                self._writers[number].forget()

    def _content(self, key, number):
        if self._engine.dropped(number):
            raise ValueError(f"{key} was written to files before it ended, since more than "
                             f"memory_limit ({self.memory_limit} bytes) were held")
        return self._engine.data(number, 0), self._engine.data(number, 1)

    def _view(self, number):
        return _View(*self._engine.stream(number))

    def _keys(self):
        """key -> number, in the order in which the streams began."""
        used, found = {}, {}
        for number in self._engine.ids():
            name = self._names.get(number)
            if name is None:
                name = self._view(number).key
                if self._ended or self._view(number).closed:
                    self._names[number] = name
            used[name] = used.get(name, 0) + 1
            found[name if used[name] == 1 else f"{name} #{used[name]}"] = number
        return found

    def _number(self, key):
        self._start("packets" if self._hold else "bytes")
        return self._keys()[key]

    def _document(self, number):
        view, info = self._view(number), self._engine.info(number)
        return couchdb.document(
            writers.stream_name(view.first_ns, view.client, view.server), info,
            [self._engine.data(number, 0), self._engine.data(number, 1)],
            [self._engine.gaps(number, 0), self._engine.gaps(number, 1)])
