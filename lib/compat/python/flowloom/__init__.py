"""TCP streams of captures and interfaces, exactly.

Every byte of a stream is there once and in order, or a gap says where bytes are missing, how many
and why. The work is done by an engine in C++ on a thread of its own, without the interpreter's
lock; what it finds crosses in batches.

>>> import flowloom
>>> for stream in flowloom.streams("samples/sample.pcap"):
...     print(stream.key, len(stream.client_data), len(stream.server_data))
...     break
192.0.2.10:40001 ==> 192.0.2.1:80 102 2137

For captures whose streams are larger than memory there is `events()`; `TCPStreamExtractor` is for
programs written for the extractor of that name that stands on scapy.
"""
import os

from ._flowloom import Event, EventIterator, Stream, StreamInfo, StreamIterator, __version__
from ._types import CaptureWarning, Gap
from .extractor import Packet, TCPStreamExtractor

__all__ = ["CaptureWarning", "Event", "EventIterator", "Gap", "Packet", "Stream", "StreamInfo",
           "StreamIterator", "TCPStreamExtractor", "events", "streams", "__version__"]


def _inputs(captures, iface):
    """Paths as the engine takes them; what is not there is said before anything starts."""
    if bool(captures) == (iface is not None):
        raise TypeError("name captures, or an interface with iface=")
    paths = [os.fsdecode(path) for path in captures]
    for path in paths:
        if path != "-":
            os.stat(path)
    return paths


def streams(*captures, iface=None, everything=False, linger=False, **options):
    """Iterates over the connections of captures (pcap, pcapng, compressed too, merged by time), or
    of an interface: each as a `Stream` when it has ended.

    >>> with flowloom.streams("samples/sample.pcap", bpf_filter="tcp port 443") as found:
    ...     [(stream.client, stream.reason) for stream in found]
    [(('192.0.2.10', 40010), 'fin')]

    A stream comes as soon as both sides have ended it (the FINs were seen and acknowledged), so
    that no byte can follow; where they did not, when the connection has closed. Packets that come
    later than that count in `info` only if `linger` is true: then every stream comes when it has
    closed, `closed_timeout` later.

    Connections without a handshake and without payload (scans) are left out, unless `everything`
    is true. Options are those of the command line: bpf_filter, workers, max_flows, memory, depth,
    idle_timeout, syn_timeout, closed_timeout (seconds), overlap, fragment_overlap, checksum,
    deliver, urgent.

    The iterator is a context manager; leaving it, or forgetting the iterator, stops its thread.
    Afterwards `statistics` has the ledger. An input that ends early makes a `CaptureWarning`.
    """
    return StreamIterator(_inputs(captures, iface), iface, bool(everything), bool(linger),
                          options)


def events(*captures, iface=None, **options):
    """Iterates over what happens, in the order in which it happens: needs little memory whatever
    the size of the streams. Arguments as for `streams()`.

    >>> total = 0
    >>> for event in flowloom.events("samples/sample.pcap"):
    ...     if event.kind == "data":
    ...         total += event.length
    >>> total
    269975

    `event.kind` is opened, data, gap, urgent, ended or closed; `event.stream` is a number that is
    the same for all events of a connection; opened and closed events have an `info`. With
    scan_ports=N there are events of kind scan: a host asked for more than N ports within pauses of
    scan_delay seconds; `event.scan` says who, how and what.
    """
    return EventIterator(_inputs(captures, iface), iface, options)
