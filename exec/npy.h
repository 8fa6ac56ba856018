// Writes arrays as NumPy's .npy, version 1.0, C order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace v4cap::exec {

// `type` is NumPy's: "<f4", "<i4", "|u1", "<u2". RunError when the file cannot be written.
void write_npy(const std::string& path, const std::string& type,
               const std::vector<std::int64_t>& shape, const void* data, std::size_t bytes);

// The header alone, padded to a multiple of 64 bytes.
std::string npy_header(const std::string& type, const std::vector<std::int64_t>& shape);

}  // namespace v4cap::exec
