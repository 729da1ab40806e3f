// streams() and events(): iterators over what an engine on a thread of its own finds.
#include "compat/python/flowloom/bindings.hpp"

#include <fmt/format.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "compat/python/flowloom/event_batch.hpp"
#include "compat/python/flowloom/options.hpp"
#include "compat/python/flowloom/stream_batch.hpp"

namespace flowloom::python {

namespace py = pybind11;

namespace {

/// How long a wait may last before Ctrl-C is looked for.
constexpr std::chrono::milliseconds kPatience{50};

/// A connection for Python. Owns what it shows, so that who keeps one keeps nothing else.
struct StreamObject {
  StreamInfo info;
  std::array<py::bytes, 2> bytes;
  std::array<std::vector<GapInStream>, 2> gaps;
};

/// An event for Python; the same.
struct EventObject {
  EventData event;
  py::bytes bytes;
};

py::bytes joined(const ByteArena::Chain& chain) {
  py::bytes all(nullptr, chain.size()); // not yet initialised
  char* to = PyBytes_AS_STRING(all.ptr());
  chain.for_each([&to](std::span<const std::uint8_t> piece) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  });
  return all;
}

struct StreamTraits {
  using Batch = StreamBatch;
  using Maker = StreamBatchMaker;
  using Object = StreamObject;
  static std::size_t size_of(const Batch& batch) { return batch->size(); }
  static Object object_of(Batch& batch, std::size_t i) {
    FinishedStream& stream = (*batch)[i];
    return {std::move(stream.info),
            {joined(stream.bytes[0]), joined(stream.bytes[1])},
            std::move(stream.gaps)};
  }
};

struct EventTraits {
  using Batch = EventBatch;
  using Maker = EventBatchMaker;
  using Object = EventObject;
  static std::size_t size_of(const Batch& batch) { return batch->events.size(); }
  static Object object_of(Batch& batch, std::size_t i) {
    EventData& event = batch->events[i];
    return {std::move(event), bytes_of(std::span(batch->bytes).subspan(event.at, event.size))};
  }
};

/// What is opened, before the thread starts.
struct Inputs {
  std::vector<std::string> captures;
  std::optional<std::string> interface;
};

bool may_pause(const Inputs& inputs) {
  return inputs.interface || !std::all_of(inputs.captures.begin(), inputs.captures.end(),
                                          [](const std::string& path) {
                                            std::error_code ignored;
                                            return std::filesystem::is_regular_file(path, ignored);
                                          });
}

Extractor opened(const Inputs& inputs, const ExtractorOptions& options) {
  Extractor extractor(options);
  if (inputs.interface) {
    extractor.open_live(*inputs.interface);
  } else {
    extractor.open(inputs.captures);
  }
  return extractor;
}

template <class Traits>
class Iterator {
 public:
  using Batch = typename Traits::Batch;
  using Maker = typename Traits::Maker;

  template <class... MakerArguments>
  Iterator(const Inputs& inputs, const ExtractorOptions& options, MakerArguments... arguments) {
    const py::gil_scoped_release release;
    auto queue = std::make_shared<BatchQueue<Batch>>();
    auto maker = std::make_unique<Maker>(arguments..., queue);
    background_ = std::make_unique<Background<Batch, Maker>>(
        opened(inputs, options), may_pause(inputs) ? Input::MayPause : Input::Files,
        std::move(maker), queue);
  }
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;
  ~Iterator() {
    const py::gil_scoped_release release;
    background_.reset();
  }

  typename Traits::Object next() {
    home_.check();
    if (batch_ == nullptr || next_ == Traits::size_of(batch_)) refill();
    return Traits::object_of(batch_, next_++);
  }

  /// Stops the engine. What was handed out stays good.
  void close() {
    home_.check();
    if (std::exchange(closed_, true)) return;
    batch_ = nullptr;
    const py::gil_scoped_release release;
    background_->stop();
  }

  py::dict statistics() {
    if (!ended_) throw py::value_error("the statistics are complete at the end of the iteration");
    return dict_of(background_->finished_extractor().statistics());
  }

 private:
  void refill() {
    if (closed_ || ended_) throw py::stop_iteration();
    if (busy_) throw py::value_error("another thread is waiting in this iterator");
    busy_ = true;
    try {
      wait();
    } catch (...) {
      busy_ = false;
      throw;
    }
    busy_ = false;
    next_ = 0;
  }

  void wait() {
    if (batch_ != nullptr) background_->queue().give_back(std::move(batch_));
    for (;;) {
      using Taken = typename BatchQueue<Batch>::Taken;
      Taken taken{};
      {
        const py::gil_scoped_release release;
        taken = background_->queue().take(batch_, kPatience);
      }
      if (closed_) throw py::stop_iteration();
      if (taken == Taken::Some) return;
      if (taken == Taken::End) {
        ended_ = true;
        warn_of_faults(background_->finished_extractor().faults());
        throw py::stop_iteration();
      }
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  HomeProcess home_;
  std::unique_ptr<Background<Batch, Maker>> background_;
  Batch batch_;
  std::size_t next_ = 0;
  bool closed_ = false;
  bool ended_ = false;
  bool busy_ = false;
};

using StreamIterator = Iterator<StreamTraits>;
using EventIterator = Iterator<EventTraits>;

template <class Class>
void define_iteration(Class& type) {
  using It = typename Class::type;
  type.def("__iter__", [](py::object self) { return self; })
      .def("__next__", &It::next)
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](It& self, const py::args&) { self.close(); })
      .def("close", &It::close)
      .def_property_readonly("statistics", &It::statistics);
}

void bind_stream(py::module_& module) {
  py::class_<StreamObject>(module, "Stream", "A connection that has ended, with all its bytes.")
      .def_property_readonly("client_data", [](const StreamObject& s) { return s.bytes[0]; })
      .def_property_readonly("server_data", [](const StreamObject& s) { return s.bytes[1]; })
      .def_property_readonly("client_gaps",
                             [](const StreamObject& s) { return list_of(s.gaps[0]); })
      .def_property_readonly("server_gaps",
                             [](const StreamObject& s) { return list_of(s.gaps[1]); })
      .def_property_readonly(
          "client",
          [](const StreamObject& s) { return tuple_of(s.info.sides[0].end_point); })
      .def_property_readonly(
          "server",
          [](const StreamObject& s) { return tuple_of(s.info.sides[1].end_point); })
      .def_property_readonly("key", [](const StreamObject& s) { return key_of(s.info); })
      .def_property_readonly("start",
                             [](const StreamObject& s) { return seconds_of(s.info.start); })
      .def_property_readonly("end",
                             [](const StreamObject& s) { return seconds_of(s.info.end); })
      .def_property_readonly(
          "reason", [](const StreamObject& s) { return text_of(name_of(s.info.reason)); })
      .def_property_readonly(
          "info", [](const StreamObject& s) -> const StreamInfo& { return s.info; },
          py::return_value_policy::reference_internal)
      .def("__repr__", [](const StreamObject& s) {
        return fmt::format("<flowloom.Stream {} ({} B, {} B) {}>", key_of(s.info),
                           py::len(s.bytes[0]), py::len(s.bytes[1]), name_of(s.info.reason));
      });
}

const char* name_of_kind(EventKind kind) {
  switch (kind) {
    case EventKind::Opened: return "opened";
    case EventKind::Data: return "data";
    case EventKind::Gap: return "gap";
    case EventKind::Urgent: return "urgent";
    case EventKind::Ended: return "ended";
    case EventKind::Closed: return "closed";
    case EventKind::Packet: return "packet";
    case EventKind::Scan: return "scan";
  }
  return "";
}

py::object scan_of(const EventObject& e) {
  if (e.event.scan == nullptr) return py::none();
  const ScanAlert& scan = *e.event.scan;
  py::list targets;
  for (const EndPoint& target : scan.targets) targets.append(tuple_of(target));
  py::dict d;
  d["source"] = scan.source.address_text();
  d["kind"] = text_of(scan.kind);
  d["across"] = text_of(scan.across);
  d["targets"] = targets;
  d["first"] = seconds_of(scan.first);
  d["last"] = seconds_of(scan.last);
  return d;
}

void bind_event(py::module_& module) {
  py::class_<EventObject>(module, "Event", "Something that happened to a connection.")
      .def_property_readonly("kind",
                             [](const EventObject& e) { return name_of_kind(e.event.kind); })
      .def_property_readonly("stream", [](const EventObject& e) { return e.event.stream; })
      .def_property_readonly("sender",
                             [](const EventObject& e) {
                               return e.event.from == Side::Originator ? "client" : "server";
                             })
      .def_property_readonly("offset", [](const EventObject& e) { return e.event.offset; })
      .def_property_readonly("length",
                             [](const EventObject& e) {
                               return e.event.kind == EventKind::Gap ? e.event.length
                                                                      : e.event.size;
                             })
      .def_property_readonly("data", [](const EventObject& e) { return e.bytes; })
      .def_property_readonly("cause",
                             [](const EventObject& e) -> py::object {
                               if (e.event.kind != EventKind::Gap) return py::none();
                               return text_of(name_of(e.event.gap_reason));
                             })
      .def_property_readonly(
          "time",
          [](const EventObject& e) {
            return seconds_of(std::chrono::nanoseconds{e.event.time_ns});
          })
      .def_property_readonly("scan", &scan_of)
      .def_property_readonly("time_ns", [](const EventObject& e) { return e.event.time_ns; })
      .def_property_readonly(
          "info", [](const EventObject& e) -> const StreamInfo* { return e.event.info.get(); },
          py::return_value_policy::reference_internal)
      .def("__repr__", [](const EventObject& e) {
        return fmt::format("<flowloom.Event {} of stream {} at {}>", name_of_kind(e.event.kind),
                           e.event.stream, e.event.offset);
      });
}

}  // namespace

void bind_iterators(py::module_& module) {
  bind_stream(module);
  bind_event(module);
  py::class_<StreamIterator> streams(module, "StreamIterator", "See flowloom.streams().");
  streams.def(py::init([](std::vector<std::string> captures, std::optional<std::string> iface,
                          bool everything, bool linger, const py::dict& options) {
    return std::make_unique<StreamIterator>(
        Inputs{std::move(captures), std::move(iface)}, options_of(options),
        everything ? Streams::All : Streams::WithContent,
        linger ? HandOver::WhenClosed : HandOver::WhenEnded);
  }));
  define_iteration(streams);
  py::class_<EventIterator> events(module, "EventIterator", "See flowloom.events().");
  events.def(py::init([](std::vector<std::string> captures, std::optional<std::string> iface,
                         const py::dict& options) {
    return std::make_unique<EventIterator>(Inputs{std::move(captures), std::move(iface)},
                                           options_of(options));
  }));
  define_iteration(events);
}

}  // namespace flowloom::python
