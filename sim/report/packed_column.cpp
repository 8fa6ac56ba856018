#include "sim/report/packed_column.h"

#include <zlib.h>

#include <bit>
#include <cstdint>

#include "sim/core/error.h"

namespace v4cap {

namespace {

std::string little_endian(const std::vector<double>& figures) {
  std::string bytes;
  bytes.reserve(4 * figures.size());
  for (const double exact : figures) {
    const auto figure = static_cast<float>(exact);
    // One pattern for all NaN, so that equal columns are equal bytes.
    const auto bits =
        figure != figure ? std::uint32_t{0x7fc00000} : std::bit_cast<std::uint32_t>(figure);
    for (int shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(static_cast<unsigned char>(bits >> shift & 0xff));
    }
  }
  return bytes;
}

// With a header that says neither when nor where it was made.
std::string gzipped(const std::string& bytes) {
  constexpr int kWindowBits = 15, kGzip = 16, kMemory = 8, kUnknownSystem = 255;
  z_stream stream{};
  V4CAP_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, kWindowBits + kGzip, kMemory,
                           Z_DEFAULT_STRATEGY) == Z_OK,
              std::string("zlib does not start"));
  gz_header header{};
  header.os = kUnknownSystem;
  deflateSetHeader(&stream, &header);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  // zlib takes what it reads as a pointer to non-const, and does not write there.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = deflate(&stream, Z_FINISH);
  V4CAP_CHECK(end == Z_STREAM_END, "zlib ended with " + std::to_string(end));
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::string packed_column(const std::vector<double>& figures) {
  return base64(gzipped(little_endian(figures)));
}

}  // namespace v4cap
