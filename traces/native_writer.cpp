#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sim/core/error.h"
#include "sim/core/json.h"
#include "traces/native.h"

namespace v4cap {

namespace {

void append_list(std::string& text, const char* key, const std::vector<std::string>& values) {
  text += std::string(",\"") + key + "\":[";
  for (std::size_t i = 0; i < values.size(); ++i)
    text += (i == 0 ? "" : ",") + json_quoted(values[i]);
  text += ']';
}

void append_nonzero(std::string& text, const char* key, std::int64_t value,
                    std::int64_t absent = 0) {
  if (value != absent) text += std::string(",\"") + key + "\":" + std::to_string(value);
}

const char* json_bool(bool value) {
  return value ? "true" : "false";
}

void append_header(std::string& text, const Trace& trace) {
  text += R"({"format":"v4cap-trace","version":1,"name":)" + json_quoted(trace.name) +
          ",\"source\":" + json_quoted(trace.format) +
          ",\"requests\":" + std::to_string(trace.requests.size()) +
          ",\"block_tokens\":" + std::to_string(trace.block.value) +
          ",\"partial_last_block\":" + json_bool(trace.partial_last_block) +
          ",\"arrivals\":" + json_bool(trace.has_arrivals) +
          ",\"next_free_id\":" + std::to_string(trace.next_free_id);
  append_list(text, "sessions", trace.session_names);
  append_list(text, "notes", trace.notes);
  text += "}\n";
}

void append_request(std::string& text, const Trace& trace, const TraceRequest& request) {
  text += "{\"prompt\":" + std::to_string(request.prompt.value) +
          ",\"output\":" + std::to_string(request.output.value);
  append_nonzero(text, "arrival_ns", request.arrival.count());
  append_nonzero(text, "think_ns", request.think.count());
  append_nonzero(text, "session", request.session, kNoSession);
  append_nonzero(text, "group", request.group, -1);
  const char* separator = ",\"runs\":[";
  for (const IdRun& run : trace.runs_of(request)) {
    text += std::string(separator) + '[' + std::to_string(run.first) + ',' +
            std::to_string(run.count) + ']';
    separator = ",";
  }
  if (request.runs_end > request.runs_begin) text += ']';
  separator = ",\"after\":[";
  for (const std::uint32_t before : trace.after_of(request)) {
    text += separator + std::to_string(before);
    separator = ",";
  }
  if (request.after_end > request.after_begin) text += ']';
  text += "}\n";
}

std::string gzipped(const std::string& text) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16, kMemoryLevel = 8;
  V4CAP_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                           Z_DEFAULT_STRATEGY) == Z_OK,
              "zlib refused to start");
  std::string out;
  std::string chunk(std::size_t{1} << 18, '\0');
  std::size_t given = 0;
  int code = Z_OK;
  while (code != Z_STREAM_END) {
    constexpr std::size_t kPiece = std::size_t{1} << 30;  // avail_in is 32 bits
    if (stream.avail_in == 0) {
      const std::size_t piece = std::min(kPiece, text.size() - given);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data() + given));
      stream.avail_in = static_cast<uInt>(piece);
      given += piece;
    }
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    code = deflate(&stream, given == text.size() ? Z_FINISH : Z_NO_FLUSH);
    out.append(chunk, 0, chunk.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  return out;
}

void write_whole(const std::string& path, const std::string& bytes) {
  const std::string draft = path + ".part";
  std::FILE* file = std::fopen(draft.c_str(), "wb");
  bool good = file != nullptr;
  if (good) {
    good = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    good = std::fclose(file) == 0 && good;
  }
  good = good && std::rename(draft.c_str(), path.c_str()) == 0;
  if (good) return;
  const std::string why = std::strerror(errno);
  std::remove(draft.c_str());
  throw RunError("cannot write " + path + ": " + why);
}

}  // namespace

std::string native_text(const Trace& trace) {
  std::string text;
  append_header(text, trace);
  for (const TraceRequest& request : trace.requests) append_request(text, trace, request);
  return text;
}

void write_native(const Trace& trace, const std::string& path) {
  const std::string text = native_text(trace);
  write_whole(path, path.ends_with(".gz") ? gzipped(text) : text);
}

}  // namespace v4cap
