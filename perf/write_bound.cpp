// The bound of writing: creates the files of one folder again in another, and nothing else. Their
// contents are read beforehand, out of the measure, so what is printed is the least that any
// writer of the same files must take: CPU seconds of creating, writing and closing them.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kWriteBytes = std::size_t{256} << 10;

struct File {
  std::string path;
  std::size_t begin;  // in the contents of all
  std::size_t size;
};

struct Folder {
  std::vector<std::string> folders;
  std::vector<File> files;
  std::vector<char> contents;
};

[[noreturn]] void fail(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

Folder load(const std::filesystem::path& root) {
  Folder all;
  std::size_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string path = std::filesystem::relative(entry.path(), root);
    if (entry.is_directory()) {
      all.folders.push_back(path);
    } else {
      all.files.push_back({path, bytes, entry.file_size()});
      bytes += entry.file_size();
    }
  }
  std::sort(all.folders.begin(), all.folders.end());
  all.contents.resize(bytes);
  for (const File& file : all.files) {
    std::ifstream in(root / file.path, std::ios::binary);
    if (!in.read(all.contents.data() + file.begin, static_cast<std::streamsize>(file.size))) {
      fail(file.path);
    }
  }
  return all;
}

void write_file(int folder, const File& file, const char* bytes) {
  const int fd = ::openat(folder, file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (fd < 0) fail(file.path);
  for (std::size_t done = 0; done < file.size;) {
    const ssize_t n = ::write(fd, bytes + done, std::min(kWriteBytes, file.size - done));
    if (n <= 0) fail(file.path);
    done += static_cast<std::size_t>(n);
  }
  ::close(fd);
}

/// Takes as much memory of the file system as the files will need, and gives it back: the host of a
/// virtual machine takes free memory away, and who needs it next would pay for that.
void take_memory(int folder, const Folder& all) {
  constexpr std::size_t kPerFile = 6 << 10; // half a page that stays empty, and an inode
  const File memory{"memory", 0, all.contents.size()};
  const std::vector<char> block(all.files.size() * kPerFile);
  const File more{"more", 0, block.size()};
  write_file(folder, memory, all.contents.data());
  write_file(folder, more, block.data());
  for (const File& file : {memory, more}) ::unlinkat(folder, file.path.c_str(), 0);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: flowloom-write-bound FROM TO\n", stderr);
    return 2;
  }
  const Folder all = load(argv[1]);
  std::filesystem::create_directories(argv[2]);
  const int to = ::open(argv[2], O_RDONLY | O_DIRECTORY);
  if (to < 0) fail(argv[2]);
  take_memory(to, all);
  const double begin = cpu_seconds();
  for (const std::string& folder : all.folders) {
    if (::mkdirat(to, folder.c_str(), 0777) != 0) fail(folder);
  }
  for (const File& file : all.files) write_file(to, file, all.contents.data() + file.begin);
  const double end = cpu_seconds();
  std::printf("{\"files\": %zu, \"bytes\": %zu, \"cpu_s\": %.6f}\n", all.files.size(),
              all.contents.size(), end - begin);
  return 0;
}
