// See stream_store.hpp.
#include "sinks/stream_store.hpp"

#include "sinks/descriptor.hpp"

#include <fcntl.h>

#include <cerrno>
#include <vector>

namespace flowloom {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;

}  // namespace

bool FileStore::read(StreamEvent& event, Direction direction, const Visit& visit) {
  StreamPath& path = event.files[index_of(direction)];
  if (path.empty()) return false;
  const Descriptor file(::openat(out_folder_, path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return false;
  std::vector<std::uint8_t> buffer(kReadBytes);
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0;
    if (!visit({buffer.data(), static_cast<std::size_t>(count)})) return true;
  }
}

}  // namespace flowloom
