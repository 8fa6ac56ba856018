// traces/README.md: every format has a section, and its example is read as that format.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/golden.h"
#include "tests/traces/files.h"
#include "traces/arrivals.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

const std::string& document() {
  static const std::string text = file_text(std::string(V4CAP_SOURCE_DIR) + "/traces/README.md");
  return text;
}

// The first block between fences in the section of a format; "" where there is none.
std::string example_of(const std::string& format) {
  const std::string heading = "\n### `" + format + "`\n", fence = "```\n";
  const std::size_t begin = document().find(heading);
  if (begin == std::string::npos) return "";
  const std::size_t end = document().find("\n### ", begin + 1);
  const std::size_t open = document().find(fence, begin);
  if (open >= end) return "";
  const std::size_t first = open + fence.size();
  return document().substr(first, document().find(fence, first) - first);
}

TEST_CASE("trace document: the example of every format is read as that format") {
  for (const std::string& format : TraceFormats::names()) {
    CAPTURE(format);
    const std::string example = example_of(format);
    REQUIRE_FALSE(example.empty());
    const TestFile file("example", example);
    CHECK(sniff_format(file.path()) == format);
    CHECK(document().find("\n| [`" + format + "`](#" + format + ") |") != std::string::npos);
    if (format == "servegen-windows") {
      CHECK(read_rate_table(file.path()).requests_per_s == std::vector<double>{2.5, 3.5});
      continue;
    }
    const Trace trace = read_trace(file.path());
    const auto rows = static_cast<std::size_t>(std::ranges::count(example, '\n'));
    if (format == "csv") CHECK(trace.requests.size() == rows - 1);
    if (format == "mooncake") CHECK(trace.requests.size() == rows);
  }
}

TEST_CASE("trace document: what the formats are said to lack they lack") {
  const auto row_of = [](const std::string& format) {
    const std::size_t begin = document().find("\n| [`" + format + "`]");
    return document().substr(begin, document().find('\n', begin + 1) - begin);
  };
  for (const std::string& format : TraceFormats::names()) {
    if (format == "servegen-windows") continue;
    CAPTURE(format);
    const TestFile file("example", example_of(format));
    const Trace trace = read_trace(file.path());
    const std::string row = row_of(format);
    CHECK(trace.has_sessions == (row.find(" | yes | ") != std::string::npos ||
                                 row.find(" | yes, in groups | ") != std::string::npos));
    CHECK((trace.block.value > 0) == !row.ends_with(" | no |"));
  }
}

TEST_CASE("trace document: the native example is what it is said to be") {
  const TestFile file("example", example_of("v4cap"));
  const Trace trace = read_trace(file.path());
  REQUIRE(trace.requests.size() == 3);
  CHECK(trace.requests[0].continued_by == 2);
  CHECK(trace.requests[1].continued_by == kNoRequest);
  CHECK(trace.after_of(trace.requests[2]).size() == 1);
}

}  // namespace
}  // namespace v4cap
