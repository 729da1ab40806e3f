// Writes a classic pcap file, or a pcapng by its name (microseconds, Ethernet), through one large
// buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace flowloom::gen {

/// A file that is written once, or std::runtime_error with its name and the reason.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);

  void write(const void* data, std::size_t bytes);
  void write(const std::string& text) { write(text.data(), text.size()); }
  /// Flushes and reports what the destructor could not.
  void close();

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  [[noreturn]] void fail() const;

  std::string path_;
  std::vector<char> buffer_;  // before file_: fclose() still writes from it
  std::unique_ptr<std::FILE, Close> file_;
};

class PcapFile {
 public:
  /// A name that ends in ".pcapng" chooses the format.
  explicit PcapFile(const std::string& path);

  void write(std::int64_t stamp_ns, std::span<const std::uint8_t> frame);
  void close() { file_.close(); }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  enum class Format : std::uint8_t { Pcap, Pcapng };

  void write_pcapng(std::int64_t stamp_ns, std::span<const std::uint8_t> frame);
  void put(const void* data, std::size_t bytes);

  OutputFile file_;
  Format format_;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace flowloom::gen
