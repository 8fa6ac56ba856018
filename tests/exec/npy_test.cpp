// The header of .npy files, byte by byte as NumPy documents it.
#include "exec/npy.h"

#include <doctest/doctest.h>

namespace v4cap::exec {
namespace {

TEST_CASE("npy: header is padded to 64 bytes and ends with a new line") {
  const std::string header = npy_header("<f4", {3, 4});
  CHECK(header.size() % 64 == 0);
  CHECK(header.substr(0, 8) == std::string("\x93NUMPY\x01\0", 8));
  const auto length =
      static_cast<unsigned char>(header[8]) + 256 * static_cast<unsigned char>(header[9]);
  CHECK(static_cast<std::size_t>(length) + 10 == header.size());
  CHECK(header.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3,4,), }") == 10);
  CHECK(header.back() == '\n');
}

TEST_CASE("npy: one dimension is a tuple, none is the empty one") {
  CHECK(npy_header("|u1", {7}).find("'shape': (7,)") != std::string::npos);
  CHECK(npy_header("<i4", {}).find("'shape': ()") != std::string::npos);
}

}  // namespace
}  // namespace v4cap::exec
