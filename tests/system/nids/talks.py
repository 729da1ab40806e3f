"""Well-behaved conversations for the tests of the libnids drop-in, packet by packet."""
import os

import traffic
from traffic import ACK, FIN, PSH, SYN, URG  # noqa: F401 (for who imports this)

CLIENT, SERVER = bytes([10, 1, 1, 101]), bytes([10, 1, 1, 1])
PORTS = (3177, 80)
CLOSING = ((0, FIN | ACK), (1, ACK), (1, FIN | ACK), (0, ACK))


def conversation(pieces, ending=(), ports=PORTS):
    """Packets of a conversation; pieces are (side, bytes), flags of their own as a third."""
    ends = (CLIENT, SERVER)
    seq = [1000, 9000]
    packets = []

    def send(side, flags, payload=b"", **more):
        other = 1 - side
        segment = traffic.tcp(ends[side], ends[other], ports[::1 - 2 * side], seq[side],
                              seq[other] if flags & ACK else 0, flags, payload, **more)
        packets.append(traffic.ip(ends[side], ends[other], 6, segment, len(packets)))
        seq[side] += len(payload) + (1 if flags & (SYN | FIN) else 0)

    send(0, SYN)
    send(1, SYN | ACK)
    send(0, ACK)
    for side, payload, *more in pieces:
        send(side, ACK | PSH, payload, **(more[0] if more else {}))
    for side, flags in ending:
        send(side, flags)
    return packets


def write(folder, name, packets):
    path = os.path.join(folder, name)
    with open(path, "wb") as out:
        out.write(traffic.file_header(1))
        for number, packet in enumerate(packets):
            out.write(traffic.record(1_600_000_000 + number, 250_000,
                                     traffic.ETHERNET + b"\10\0" + packet))
    return path
