#include "exec/collectives/shared_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "exec/driver/gpu_error.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw RunError("memory that ranks share: " + what + ": " + std::strerror(errno),
                 error_kind::kProcess);
}

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes)
    : fd_(::memfd_create("v4exec ranks", 0)), bytes_(bytes) {  // kept open for who is started
  if (fd_ < 0) fail("memfd_create");
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
    ::close(fd_);
    fail("ftruncate");
  }
  map();
}

SharedMemory::SharedMemory(int fd, std::size_t bytes) : fd_(fd), bytes_(bytes) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("file descriptor " + std::to_string(fd));
  if (status.st_size != static_cast<off_t>(bytes)) {
    throw RunError(
        "memory that ranks share: file descriptor " + std::to_string(fd) + " is something else",
        error_kind::kProcess);
  }
  map();
}

void SharedMemory::map() {
  at_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at_ == MAP_FAILED) {
    ::close(fd_);
    fail("mmap");
  }
}

SharedMemory::~SharedMemory() {
  ::munmap(at_, bytes_);
  ::close(fd_);
}

}  // namespace v4cap::exec
