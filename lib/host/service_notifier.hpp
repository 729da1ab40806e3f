// What systemd wants to hear of a service (Type=notify): that it is ready, what it does, that it is
// alive, that it stops. The protocol is a datagram to the socket that the environment names, so
// there is no library; without that socket nothing is said.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace flowloom {

class ServiceNotifier {
 public:
  /// Connects; before privileges are given up.
  ServiceNotifier();
  ~ServiceNotifier();
  ServiceNotifier(const ServiceNotifier&) = delete;
  ServiceNotifier& operator=(const ServiceNotifier&) = delete;

  [[nodiscard]] bool is_wanted() const { return socket_ >= 0; }
  /// Within this time the service manager wants to hear alive(); 0: it does not care.
  [[nodiscard]] std::chrono::microseconds watchdog() const { return watchdog_; }

  void ready() { send("READY=1"); }
  void stopping() { send("STOPPING=1"); }
  void alive() { send("WATCHDOG=1"); }
  void status(std::string_view text) { send(std::string("STATUS=").append(text)); }

 private:
  void send(std::string_view message) const;

  int socket_ = -1;
  std::chrono::microseconds watchdog_{};
};

}  // namespace flowloom
