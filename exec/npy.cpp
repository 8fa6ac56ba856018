#include "exec/npy.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "sim/core/write_error.h"

namespace v4cap::exec {

std::string npy_header(const std::string& type, const std::vector<std::int64_t>& shape) {
  std::string dimensions;
  for (const std::int64_t n : shape) dimensions += fmt::format("{},", n);
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, dimensions);
  constexpr std::size_t kFixed = 10;  // magic, version, length
  text.append((64 - (kFixed + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string header = "\x93NUMPY\x01";
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

void write_npy(const std::string& path, const std::string& type,
               const std::vector<std::int64_t>& shape, const void* data, std::size_t bytes) {
  std::ofstream file(path, std::ios::binary);
  const std::string header = npy_header(type, shape);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  file.close();
  if (!file) throw write_failed(path, errno);
}

}  // namespace v4cap::exec
