// Reader of v4cap's own format (traces/native.h). Everything that was written must be there: a file
// with fewer requests than its header says has lost its end.
#include <algorithm>
#include <limits>

#include "traces/native.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

bool sniff(std::string_view line) {
  return line.starts_with('{') && line.find("\"v4cap-trace\"") != std::string_view::npos;
}

constexpr std::int64_t kNativeIdMax = std::int64_t{1} << 62;

void refuse_unknown(JsonValue object, const std::vector<std::string>& known) {
  for (const JsonValue member : object.members()) {
    const std::string key(member.key());
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      member.fail("expected a key of the format, found '" + key.substr(0, 64) + "'" +
                  suggestion(key.substr(0, 64), known));
    }
  }
}

class NativeReader {
 public:
  NativeReader(TextFile& file, const TraceReadOptions& options) : file_(file), options_(options) {}

  Trace read() {
    next_line();
    const JsonValue header = parse();
    TraceBuilder builder = open(header);
    while (!builder.full() && file_.next()) {
      const JsonValue request = parse();
      if (builder.size() == requests_)
        request.fail("expected the end of the file, found one more request");
      read_request(builder, request);
    }
    if (!builder.full() && builder.size() < requests_) {
      throw InputError(Place{file_.path(), file_.line_number() + 1, 1},
                       "expected " + std::to_string(requests_) +
                           " requests as the header says, found " + std::to_string(builder.size()) +
                           "; the file is cut");
    }
    builder.trace().next_free_id = next_free_id_;
    return builder.finish();
  }

 private:
  void next_line() { V4CAP_CHECK(file_.next(), "an open file has a first line"); }
  JsonValue parse() {
    return parse_json_object(json_, file_.line(), file_.place(), !file_.line_is_terminated());
  }

  TraceBuilder open(JsonValue header) {
    refuse_unknown(header, {"format", "version", "name", "source", "requests", "block_tokens",
                            "partial_last_block", "arrivals", "next_free_id", "sessions", "notes"});
    if (header.at("format").string() != "v4cap-trace") {
      header.at("format").fail("'format': expected \"v4cap-trace\", found another");
    }
    header.at("version").integer(1, 1);
    requests_ = header.at("requests").integer(1, std::numeric_limits<std::uint32_t>::max() - 1);
    next_free_id_ = header.at("next_free_id").integer(0, kNativeIdMax);
    const JsonValue block = header.at("block_tokens");
    const Tokens tokens{block.integer(0, kTraceTokensMax)};
    if (options_.block_tokens && tokens != *options_.block_tokens) {
      block.fail("'block_tokens': expected " + std::to_string(options_.block_tokens->value) +
                 " as stated, found " + std::to_string(tokens.value));
    }
    TraceBuilder builder(options_, tokens);
    Trace& trace = builder.trace();
    trace.name = header.at("name").string();
    trace.format = header.at("source").string();
    trace.partial_last_block = header.at("partial_last_block").boolean();
    trace.has_arrivals = header.at("arrivals").boolean();
    for (const JsonValue name : header.at("sessions").array()) {
      const auto known = static_cast<std::int32_t>(trace.session_names.size());
      if (builder.session(name.string()) != known) name.fail("'sessions': expected each name once");
    }
    trace.has_sessions = !trace.session_names.empty();
    for (const JsonValue note : header.at("notes").array())
      builder.note(std::string(note.string()));
    return builder;
  }

  void read_request(TraceBuilder& builder, JsonValue object) {
    refuse_unknown(object, {"prompt", "output", "arrival_ns", "think_ns", "session", "group",
                            "runs", "after"});
    constexpr std::int64_t kTimeMax = 1'000'000'000'000'000'000;  // 31 years in ns
    const auto optional = [&](const char* key, std::int64_t low, std::int64_t high,
                              std::int64_t absent) {
      const JsonValue value = object.find(key);
      return value ? value.integer(low, high) : absent;
    };
    const std::int64_t index = builder.size();
    TraceRequest& request =
        builder.add(prompt_tokens(object.at("prompt")), output_tokens(object.at("output")));
    request.arrival = Duration{optional("arrival_ns", 0, kTimeMax, 0)};
    request.think = Duration{optional("think_ns", 0, kTimeMax, 0)};
    request.group = static_cast<std::int32_t>(
        optional("group", 0, std::numeric_limits<std::int32_t>::max(), -1));
    const auto sessions = static_cast<std::int64_t>(builder.trace().session_names.size());
    const std::int64_t session = optional("session", 0, sessions - 1, kNoSession);
    if (session != kNoSession) builder.join_session(static_cast<std::int32_t>(session));
    if (const JsonValue after = object.find("after")) {
      for (const JsonValue before : after.array()) {
        builder.add_after(static_cast<std::uint32_t>(before.integer(0, index - 1)));
      }
    }
    read_runs(builder, object);
  }

  void read_runs(TraceBuilder& builder, JsonValue object) {
    const Trace& trace = builder.trace();
    const std::int64_t block = trace.block.value;
    const std::int64_t prompt = trace.requests.back().prompt.value;
    const std::int64_t expected =
        block == 0 ? 0 : (prompt + (trace.partial_last_block ? block - 1 : 0)) / block;
    const JsonValue runs = object.find("runs");
    std::int64_t total = 0;
    if (runs) {
      for (const JsonValue run : runs.array()) {
        if (run.kind() != JsonKind::array || run.size() != 2) {
          run.fail("'runs': expected [first id, count], found something else");
        }
        auto part = run.array().begin();
        const std::int64_t first = (*part).integer(0, next_free_id_ - 1);
        const std::int64_t count = (*++part).integer(1, next_free_id_ - first);
        builder.add_run(first, count);
        total += count;
        if (total > expected) break;
      }
    }
    if (total != expected) {
      (runs ? runs : object)
          .fail("'runs': expected " + std::to_string(expected) +
                " ids in all for this prompt, found " +
                (total > expected ? "more" : std::to_string(total)));
    }
  }

  TextFile& file_;
  const TraceReadOptions& options_;
  JsonLine json_;
  std::int64_t requests_ = 0, next_free_id_ = 0;
};

Trace read(TextFile& file, const TraceReadOptions& options) {
  return NativeReader(file, options).read();
}

const bool registered = TraceFormats::add(
    "v4cap", {"v4cap's own: what convert and synth write",
              sniff,
              read,
              16 << 20,
              {TraceFields::Shape::json,
               {"format", "version", "requests", "block_tokens", "arrivals", "sessions"}}});

}  // namespace

}  // namespace v4cap
