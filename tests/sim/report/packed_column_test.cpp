// Columns of figures as the report carries them.
#include "sim/report/packed_column.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

using namespace v4cap;

namespace {

// The inverse, on its own: digits to bits, then zlib's own reading of the format.
std::string from_base64(const std::string& text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int digit = c >= 'a'   ? c - 'a' + 26
                      : c >= 'A' ? c - 'A'
                      : c >= '0' ? c - '0' + 52
                      : c == '+' ? 62
                                 : 63;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return bytes;
}

std::vector<float> opened(const std::string& packed, std::size_t rows) {
  const std::string bytes = from_base64(packed);
  std::vector<float> figures(rows + 1);
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(figures.data());
  stream.avail_out = static_cast<uInt>(4 * figures.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  figures.resize(stream.total_out / 4);
  inflateEnd(&stream);
  return figures;
}

}  // namespace

TEST_CASE("packed column: base64 is RFC 4648's") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("packed column: opens to the same figures") {
  static_assert(std::endian::native == std::endian::little);
  std::vector<double> figures;
  for (int i = 0; i < 5000; ++i) figures.push_back(i * 0.37 - 3);
  figures.push_back(std::numeric_limits<double>::quiet_NaN());
  const std::vector<float> again = opened(packed_column(figures), figures.size());
  REQUIRE(again.size() == figures.size());
  for (std::size_t i = 0; i + 1 < figures.size(); ++i) {
    CAPTURE(i);
    REQUIRE(again[i] == static_cast<float>(figures[i]));
  }
  CHECK(std::isnan(again.back()));
  CHECK(opened(packed_column({}), 0).empty());
}

TEST_CASE("packed column: equal columns are equal bytes, whatever their NaN") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(packed_column({1, nan}) == packed_column({1, -nan}));
}
