// A connection as Python sees it: live within its callback, a copy of what it was afterwards, so
// that a program may keep the object.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include "compat/nids/nids.h"

namespace flowloom::nids {

/// nids.error.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Side : std::uint8_t { Client, Server };

/// What a half_stream was when its callback returned.
struct HalfCopy {
  int state = 0;
  bool collect = false;
  bool collect_urgent = false;
  std::string data;
  char urgent = 0;
  int count = 0;
  int offset = 0;
  int count_new = 0;
  int count_new_urgent = 0;
};

/// Shared by the Python objects of one callback.
struct StreamState {
  tcp_stream* live = nullptr;  ///< null: the callback has returned
  tuple4 ends{};
  int state = 0;
  std::array<HalfCopy, 2> halves;

  explicit StreamState(tcp_stream* stream);
  /// The callback returns; copies if anybody still looks.
  void detach(bool is_kept);
};

class HalfStream {
 public:
  HalfStream(std::shared_ptr<StreamState> stream, Side side)
      : stream_(std::move(stream)), side_(side) {}

  /// One value, from the live half or the copy.
  [[nodiscard]] int state() const;
  [[nodiscard]] bool collect() const;
  void set_collect(bool wanted);
  [[nodiscard]] bool collect_urgent() const;
  void set_collect_urgent(bool wanted);
  [[nodiscard]] pybind11::bytes data() const;
  [[nodiscard]] pybind11::bytes urgent() const;
  [[nodiscard]] int count() const;
  [[nodiscard]] int offset() const;
  [[nodiscard]] int count_new() const;
  [[nodiscard]] int count_new_urgent() const;

 private:
  [[nodiscard]] half_stream* live() const;
  [[nodiscard]] const HalfCopy& copy() const {
    return stream_->halves[static_cast<std::size_t>(side_)];
  }

  std::shared_ptr<StreamState> stream_;
  Side side_;
};

// Hidden, as all that pybind11 defines.
class [[gnu::visibility("hidden")]] TcpStream {
 public:
  explicit TcpStream(std::shared_ptr<StreamState> stream);

  [[nodiscard]] pybind11::tuple addr() const;
  [[nodiscard]] int state() const {
    return stream_->state;
  }
  [[nodiscard]] pybind11::object client() const {
    return client_;
  }
  [[nodiscard]] pybind11::object server() const {
    return server_;
  }
  void discard(int bytes) const;
  void kill() const;

 private:
  [[nodiscard]] tcp_stream& live() const;

  std::shared_ptr<StreamState> stream_;
  pybind11::object client_;
  pybind11::object server_;
};

/// (("1.2.3.4", 5), ("6.7.8.9", 10))
pybind11::tuple ends_tuple(const tuple4& ends);

/// Adds the two types to the module.
void define_streams(pybind11::module_& module);

}  // namespace flowloom::nids
