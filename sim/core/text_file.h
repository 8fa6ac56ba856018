// Lines of a text file that may be gzip-compressed, with the numbers that error messages need.
// Compression is told by the first two bytes, not by the name. Everything a hostile or damaged file
// can do ends in an InputError that names file, line and column: a truncated or corrupt gzip
// stream, bytes after it, a line or a decompressed size beyond the limits, a byte order mark, an
// empty file, a directory or a pipe.
//
// Decisions. A UTF-8 byte order mark is refused, not skipped: columns would be off by three and the
// tools that write one also write quoting and separators that no trace format has. "\r\n" ends a
// line as "\n" does. The last line may lack its line end (Azure's files do); readers learn it from
// line_is_terminated(), so that a record that is incomplete there is reported as a cut file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sim/core/error.h"

namespace v4cap {

struct TextFileLimits {
  std::int64_t line_bytes = std::int64_t{16} << 20;
  std::int64_t file_bytes = std::int64_t{8} << 30;  // after decompression
};

// "; did you mean 'x'?" where the folder of `path`, which is not there, has a file of nearly that
// name; "" where it has none.
std::string nearest_file(const std::string& path);

class TextFile {
 public:
  // Opens a regular file. Throws InputError when it does not exist, is none, or is empty.
  explicit TextFile(const std::string& path, TextFileLimits limits = {});
  ~TextFile();
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  // Moves to the next line and returns true, or false at the end. The line, without its end, is
  // valid until the next call.
  bool next();
  std::string_view line() const { return line_; }
  // The line that next() will return, without moving; an empty file never gets here.
  std::string_view peek();

  // Lowers or raises the longest line accepted from here on.
  void limit_line_bytes(std::int64_t line_bytes) { limits_.line_bytes = line_bytes; }

  const std::string& path() const { return path_; }
  std::int64_t line_number() const { return line_number_; }  // of line(), from 1
  bool line_is_terminated() const {
    return terminated_;
  }  // false: the file ends with it, no newline
  Place place(std::int64_t column = 0) const { return {path_, line_number_, column}; }

 private:
  class Source;  // bytes of the file, decompressed

  bool find_line();         // sets line_begin_, line_end_ of the line at begin_; false at the end
  bool fill();              // more bytes after end_; false at the end of the file
  void refuse_long_line();  // when the unread part of a line is beyond the limit

  std::string path_;
  TextFileLimits limits_;
  std::unique_ptr<Source> source_;
  std::string buffer_;  // bytes [begin_, end_) are read and not yet given out
  std::size_t begin_ = 0, end_ = 0;
  std::size_t line_length_ = 0, next_begin_ = 0;
  bool found_ = false;  // line_length_ and next_begin_ describe the line at begin_
  bool next_terminated_ = false, terminated_ = true;
  std::string_view line_;
  std::int64_t line_number_ = 0;
};

}  // namespace v4cap
