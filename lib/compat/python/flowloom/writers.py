"""The files that TCPStreamExtractor.write_stream() writes: a capture and a table per stream."""
import os
import struct

NANOSECOND_MAGIC = 0xA1B23C4D
SNAP_LENGTH = 262144
SECOND = 1_000_000_000


def stream_name(first_ns, client, server):
    """T:1600000000.000999_C:10.0.0.1:1234_S:10.0.0.2:80"""
    return f"T:{seconds(first_ns)}_C:{client[0]}:{client[1]}_S:{server[0]}:{server[1]}"


def seconds(stamp_ns):
    """With six decimals, or nine where six do not do."""
    whole, rest = divmod(stamp_ns, SECOND)
    if rest % 1000 == 0:
        return f"{whole}.{rest // 1000:06d}"
    return f"{whole}.{rest:09d}"


class StreamWriter:
    """The two files of one stream; goes on where it left off."""

    def __init__(self, outputdir, name):
        pcaps, flows = ("pcaps", "flows") if outputdir is not None else (".", ".")
        folder = os.fspath(outputdir) if outputdir is not None else "."
        self.pcap = os.path.join(folder, pcaps, name + ".pcap")
        self.app_flow = os.path.join(folder, flows, name + ".app_flow")
        self.table = AppFlow()
        self.begun = False
        self.written = 0  # of the packets that are held

    def write(self, packets):
        """Appends packets (stamp, frame, wire length, link type, payload, direction) that were not
        written before."""
        packets = self._new(packets)
        mode = "ab" if self.begun else "wb"
        for path in (self.pcap, self.app_flow):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(self.pcap, mode) as file:
            if not self.begun:
                linktype = packets[0][3] if packets else 1
                file.write(struct.pack("=IHHIIII", NANOSECOND_MAGIC, 2, 4, 0, 0, SNAP_LENGTH,
                                       linktype))
            for stamp_ns, frame, wire_length, *_ in packets:
                file.write(struct.pack("=IIII", *divmod(stamp_ns, SECOND), len(frame),
                                       wire_length) + frame)
        with open(self.app_flow, mode) as file:
            for stamp_ns, _, _, _, payload, direction in packets:
                file.write((self.table.line(stamp_ns, direction, payload) + "\n").encode())
        self.begun = True

    def _new(self, packets):
        """A stream is written again and again while it grows."""
        new = packets[self.written:]
        self.written += len(new)
        return new

    def forget(self):
        """The packets written so far are not held any more."""
        self.written = 0


class AppFlow:
    """Lines of ten columns: Time Flow_with_Direction PktPayload ClientDataTransfered
    ServerDataTransfered TotalData TimeBetweenLastPkt TimeBetweenLastClientPacket
    TimeBetweenLastServerPacket TotalTimeElapsed. Direction 0 is of the client."""

    def __init__(self):
        self.first = None
        self.last = None
        self.last_of = [None, None]
        self.gap_of = ["0.0", "0.0"]
        self.total_of = [0.0, 0.0]

    def line(self, stamp_ns, direction, payload):
        """The line of the next packet."""
        if self.first is None:
            self.first = stamp_ns
        since_last = self._since(self.last, stamp_ns)
        self.gap_of[direction] = self._since(self.last_of[direction], stamp_ns)
        self.total_of[direction] += payload
        elapsed = "0.0" if self.last is None else seconds_between(self.first, stamp_ns)
        self.last = self.last_of[direction] = stamp_ns
        client, server = self.total_of
        return (f"{seconds(stamp_ns)} {direction} {payload} {client} {server} "
                f"{int(client + server)} {since_last} {self.gap_of[0]} {self.gap_of[1]} {elapsed}")

    @staticmethod
    def _since(before, stamp_ns):
        return "0.0" if before is None else seconds_between(before, stamp_ns)


def seconds_between(earlier_ns, later_ns):
    """A difference, which may be negative where stamps step back."""
    difference = later_ns - earlier_ns
    return seconds(difference) if difference >= 0 else "-" + seconds(-difference)
