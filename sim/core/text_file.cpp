#include "sim/core/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace v4cap {

namespace {

constexpr std::size_t kChunk = std::size_t{256} << 10;

// Owns a file descriptor of a regular file.
class RegularFile {
 public:
  explicit RegularFile(const std::string& path) {
    // O_NONBLOCK: opening a pipe must not wait for a writer before it is refused.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) {
      const int why = errno;
      throw InputError(Place{path}, std::string("cannot open the file: ") + std::strerror(why) +
                                        (why == ENOENT ? nearest_file(path) : ""));
    }
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(descriptor_);
      throw InputError(Place{path}, S_ISDIR(info.st_mode)
                                        ? "expected a regular file, found a directory"
                                        : "expected a regular file, found a pipe or device");
    }
  }
  ~RegularFile() { ::close(descriptor_); }
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  // 0 at the end, -1 on an error of the device.
  std::int64_t read(void* to, std::size_t bytes) {
    for (;;) {
      const ssize_t got = ::read(descriptor_, to, bytes);
      if (got >= 0 || errno != EINTR) return got;
    }
  }

 private:
  int descriptor_ = -1;
};

}  // namespace

// Plain bytes or the concatenated members of a gzip file. Reports damage as text; the caller knows
// the line.
class TextFile::Source {
 public:
  explicit Source(const std::string& path) : file_(path), input_(kChunk) {
    refill();
    compressed_ = available_ >= 2 && input_[0] == 0x1f && input_[1] == 0x8b;
    if (compressed_) start_inflate();
  }
  ~Source() {
    if (compressed_) inflateEnd(&stream_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Bytes written to `to`; 0 at the end. Sets damage() when there is any; bytes before it count.
  std::size_t read(char* to, std::size_t bytes) {
    return compressed_ ? read_compressed(to, bytes) : read_plain(to, bytes);
  }
  const std::string& damage() const { return damage_; }

 private:
  void refill() {
    const std::int64_t got = file_.read(input_.data(), input_.size());
    if (got < 0) damage_ = std::string("cannot read the file: ") + std::strerror(errno);
    consumed_ = 0;
    available_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  std::size_t read_plain(char* to, std::size_t bytes) {
    if (consumed_ == available_) refill();
    const std::size_t n = std::min(bytes, available_ - consumed_);
    std::memcpy(to, input_.data() + consumed_, n);
    consumed_ += n;
    return n;
  }

  void start_inflate() {
    constexpr int kGzipWindow = 15 + 16;  // zlib: largest window, gzip header and CRC expected
    V4CAP_CHECK(inflateInit2(&stream_, kGzipWindow) == Z_OK, "zlib refused to start");
  }

  std::size_t read_compressed(char* to, std::size_t bytes) {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(bytes);
    while (stream_.avail_out == bytes && damage_.empty()) {
      if (consumed_ == available_) refill();
      const bool at_end = available_ == 0;
      if (member_done_ && (at_end || !next_member())) break;
      inflate_some();  // at the end too: zlib may still hold output
      if (at_end && stream_.avail_out == bytes && !member_done_ && damage_.empty()) {
        damage_ = "gzip stream ends early";
      }
    }
    return bytes - stream_.avail_out;
  }

  // gzip files may be concatenated; anything else after a member is not data that we know.
  bool next_member() {
    if (input_[consumed_] != 0x1f) {
      damage_ = "bytes follow the end of the gzip stream";
      return false;
    }
    inflateReset(&stream_);
    member_done_ = false;
    return true;
  }

  void inflate_some() {
    stream_.next_in = input_.data() + consumed_;
    stream_.avail_in = static_cast<uInt>(available_ - consumed_);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    consumed_ = available_ - stream_.avail_in;
    if (code == Z_STREAM_END) {
      member_done_ = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      const char* why = stream_.msg != nullptr ? stream_.msg : "unreadable data";
      damage_ = std::string("gzip stream is corrupt (") + why + ")";
    }
  }

  RegularFile file_;
  std::vector<unsigned char> input_;
  std::size_t consumed_ = 0, available_ = 0;
  bool compressed_ = false, member_done_ = false;
  z_stream stream_{};
  std::string damage_;
};

std::string nearest_file(const std::string& path) {
  const std::filesystem::path wanted(path);
  const std::filesystem::path folder = wanted.has_parent_path() ? wanted.parent_path() : ".";
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  const std::string near = nearest_name(wanted.filename().string(), names);
  return near.empty() ? "" : "; did you mean '" + near + "'?";
}

TextFile::TextFile(const std::string& path, TextFileLimits limits)
    : path_(path), limits_(limits), source_(std::make_unique<Source>(path)) {
  if (!fill())
    throw InputError(Place{path_, 1, 1}, "the file is empty; expected at least one line");
  while (end_ < 3 && fill()) continue;
  if (std::string_view(buffer_.data(), end_).substr(0, 3) == "\xef\xbb\xbf") {
    throw InputError(
        Place{path_, 1, 1},
        "found a UTF-8 byte order mark; expected text that starts with its first record");
  }
}

TextFile::~TextFile() = default;

bool TextFile::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kChunk) buffer_.resize(std::max(end_ + kChunk, 2 * buffer_.size()));
  const std::size_t got = source_->read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += got;
  limits_.file_bytes -= static_cast<std::int64_t>(got);
  const Place here{path_, line_number_ + 1, static_cast<std::int64_t>(end_ - begin_) + 1};
  if (limits_.file_bytes < 0) {
    throw InputError(here, "the file is larger than its limit once decompressed");
  }
  if (!source_->damage().empty()) {
    // Whole lines before the damage are given out first: the error belongs to the line that lacks
    // its end.
    const bool whole_line = std::memchr(buffer_.data(), '\n', end_) != nullptr;
    if (got == 0 || !whole_line) {
      throw InputError(here, source_->damage() + " at line " + std::to_string(here.line) +
                                 "; expected a whole file, this one is truncated or damaged");
    }
  }
  return got > 0;
}

bool TextFile::find_line() {
  if (found_) return true;
  std::size_t searched = 0;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const void* newline = std::memchr(from + searched, '\n', end_ - begin_ - searched);
    if (newline != nullptr) {
      line_length_ = static_cast<std::size_t>(static_cast<const char*>(newline) - from);
      next_begin_ = line_length_ + 1;
      next_terminated_ = true;
      break;
    }
    searched = end_ - begin_;
    line_length_ = searched;
    refuse_long_line();
    if (fill()) continue;
    if (searched == 0) return false;
    next_begin_ = searched;
    next_terminated_ = false;
    break;
  }
  if (line_length_ > 0 && next_terminated_ && buffer_[begin_ + line_length_ - 1] == '\r')
    --line_length_;
  found_ = true;
  return true;
}

void TextFile::refuse_long_line() {
  if (line_length_ <= static_cast<std::size_t>(limits_.line_bytes)) return;
  throw InputError(Place{path_, line_number_ + 1, limits_.line_bytes + 1},
                   "expected a line of at most " + std::to_string(limits_.line_bytes) +
                       " bytes, found a longer one");
}

std::string_view TextFile::peek() {
  return find_line() ? std::string_view(buffer_.data() + begin_, line_length_) : std::string_view();
}

bool TextFile::next() {
  if (!find_line()) return false;
  refuse_long_line();
  line_ = std::string_view(buffer_.data() + begin_, line_length_);
  begin_ += next_begin_;
  terminated_ = next_terminated_;
  found_ = false;
  ++line_number_;
  return true;
}

}  // namespace v4cap
