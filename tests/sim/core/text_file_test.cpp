#include "sim/core/text_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <vector>

#include "tests/traces/files.h"
#include "tests/traces/gzip.h"

namespace v4cap {
namespace {

std::vector<std::string> lines_of(const std::string& path, TextFileLimits limits = {}) {
  TextFile file(path, limits);
  std::vector<std::string> lines;
  while (file.next()) {
    lines.emplace_back(file.line());
    CHECK(file.line_number() == static_cast<std::int64_t>(lines.size()));
  }
  return lines;
}

Diagnostic refusal_of(const std::string& path, TextFileLimits limits = {}) {
  try {
    lines_of(path, limits);
  } catch (const InputError& error) {
    REQUIRE(error.diagnostics().size() == 1);
    CHECK(error.diagnostics()[0].place.file == path);
    return error.diagnostics()[0];
  }
  FAIL("the file was accepted");
  return {};
}

TEST_CASE("lines are the same plain, gzipped, in several gzip members and with CRLF") {
  const std::vector<std::string> expected = {"one", "", "three"};
  struct Row {
    const char* name;
    std::string content;
  };
  const Row rows[] = {
      {"plain", "one\n\nthree\n"},
      {"no newline at the end", "one\n\nthree"},
      {"CRLF", "one\r\n\r\nthree\r\n"},
      {"gzip", gzip("one\n\nthree\n")},
      {"two gzip members, cut inside a line", gzip("on") + gzip("e\n\nthree\n")},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TestFile file("lines", row.content);
    CHECK(lines_of(file.path()) == expected);
  }
}

TEST_CASE("only the last line may lack its end, and the reader says so") {
  const TestFile file("lines", "one\ntwo");
  TextFile text(file.path());
  CHECK(text.peek() == "one");
  CHECK(text.next());
  CHECK(text.line_is_terminated());
  CHECK(text.next());
  CHECK(text.line() == "two");
  CHECK_FALSE(text.line_is_terminated());
  CHECK_FALSE(text.next());
}

TEST_CASE("lines longer than the read buffer arrive whole, plain and compressed") {
  std::string content;
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    expected.push_back(
        std::string(static_cast<std::size_t>(i) * 50'000, static_cast<char>('a' + i % 26)));
    content += expected.back() + "\n";
  }
  const TestFile plain("long", content), compressed("long.gz", gzip(content));
  CHECK(lines_of(plain.path()) == expected);
  CHECK(lines_of(compressed.path()) == expected);
}

TEST_CASE("damaged and oversized files are refused with line and column") {
  const std::string text = "first line\nsecond line\nthird line\n";
  std::string long_text;
  for (int i = 0; i < 100'000; ++i) long_text += std::to_string(i * 7919) + "\n";
  const std::string packed = gzip(long_text);
  std::string bad_crc = gzip(text);
  bad_crc[bad_crc.size() - 5] = static_cast<char>(bad_crc[bad_crc.size() - 5] ^ 1);
  struct Row {
    const char* name;
    std::string content;
    TextFileLimits limits;
    std::int64_t line, column;  // 0: not checked beyond being above 0
    const char* fragment;
  };
  const Row rows[] = {
      {"empty", "", {}, 1, 1, "file is empty"},
      {"gzip of nothing", gzip(""), {}, 1, 1, "file is empty"},
      {"byte order mark", "\xef\xbb\xbf" + text, {}, 1, 1, "byte order mark"},
      {"long line", text, {.line_bytes = 10}, 2, 11, "at most 10 bytes"},
      {"endless line",
       std::string(3 << 20, 'x'),
       {.line_bytes = 1 << 20},
       1,
       (1 << 20) + 1,
       "at most"},
      {"bomb",
       gzip(std::string(4 << 20, '\n')),
       {.file_bytes = 1 << 20},
       0,
       0,
       "larger than its limit"},
      {"truncated gzip",
       packed.substr(0, packed.size() / 2),
       {},
       0,
       0,
       "gzip stream ends early at line"},
      {"gzip without its trailer",
       gzip(text).substr(0, gzip(text).size() - 4),
       {},
       4,
       1,
       "ends early at line 4"},
      {"wrong CRC", bad_crc, {}, 4, 1, "gzip stream is corrupt"},
      {"bytes after the stream", gzip(text) + "more", {}, 4, 1, "bytes follow the end"},
      {"nothing but a gzip header", gzip(text).substr(0, 10), {}, 1, 1, "ends early at line 1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TestFile file("damaged", row.content);
    const Diagnostic found = refusal_of(file.path(), row.limits);
    CHECK(found.place.line > 0);
    CHECK(found.place.column > 0);
    if (row.line > 0) CHECK(found.place.line == row.line);
    if (row.column > 0) CHECK(found.place.column == row.column);
    CAPTURE(found.message);
    CHECK(found.message.find(row.fragment) != std::string::npos);
  }
}

TEST_CASE("whole lines before a cut are given out, and the error names the line that is cut") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string packed = gzip(text);
  const TestFile file("cut.gz", packed.substr(0, packed.size() - 1000));
  TextFile reader(file.path());
  std::int64_t lines = 0;
  try {
    while (reader.next()) {
      CHECK(reader.line() == std::to_string(lines * 7919));
      ++lines;
    }
    FAIL("a cut file was accepted");
  } catch (const InputError& error) {
    CHECK(lines > 100'000);
    CHECK(error.diagnostics()[0].place.line == lines + 1);
  }
}

TEST_CASE("only regular files are read") {
  CHECK(refusal_of("/nonexistent/file").message.find("cannot open") != std::string::npos);
  CHECK(refusal_of("/").message.find("found a directory") != std::string::npos);
  const TestFile beside("beside", "x");
  const std::string pipe = TestFile::root() + "/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(refusal_of(pipe).message.find("found a pipe") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
