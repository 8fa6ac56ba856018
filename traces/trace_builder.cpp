#include "traces/trace_builder.h"

#include <algorithm>
#include <limits>

namespace v4cap {

namespace {

std::uint32_t index_of(std::size_t size) {
  V4CAP_CHECK(size < std::numeric_limits<std::uint32_t>::max(), "more than 2^32 - 2 entries");
  return static_cast<std::uint32_t>(size);
}

}  // namespace

TraceBuilder::TraceBuilder(const TraceReadOptions& options, Tokens block)
    : max_requests_(options.max_requests) {
  if (options.block_tokens && options.block_tokens->value <= 0) {
    throw InputError(Place{}, "expected a block size of at least 1 token, found " +
                                  std::to_string(options.block_tokens->value));
  }
  const bool has_ids = block.value > 0;
  trace_.block = has_ids && options.block_tokens ? *options.block_tokens : block;
}

TraceRequest& TraceBuilder::add(Tokens prompt, Tokens output) {
  index_of(trace_.requests.size());
  TraceRequest& request = trace_.requests.emplace_back();
  request.prompt = prompt;
  request.output = output;
  request.runs_begin = request.runs_end = index_of(trace_.runs.size());
  request.after_begin = request.after_end = index_of(trace_.after.size());
  return request;
}

void TraceBuilder::add_run(std::int64_t first, std::int64_t count) {
  TraceRequest& request = trace_.requests.back();
  trace_.next_free_id = std::max(trace_.next_free_id, first + count);
  if (request.runs_end > request.runs_begin) {
    IdRun& before = trace_.runs.back();
    if (before.first + before.count == first) {
      before.count += count;
      return;
    }
  }
  trace_.runs.push_back({first, count});
  request.runs_end = index_of(trace_.runs.size());
}

void TraceBuilder::add_after(std::uint32_t request) {
  trace_.after.push_back(request);
  trace_.requests.back().after_end = index_of(trace_.after.size());
}

// What to do about a file whose blocks have another size: the one power of two that gives `found` ids,
// where only one does.
std::string TraceBuilder::other_block(Tokens prompt, std::int64_t found) const {
  std::string fits = "N";
  int fitting = 0;
  constexpr std::int64_t kLargest = 1 << 16;
  for (std::int64_t block = 1; block <= kLargest; block *= 2) {
    const std::int64_t ids = (prompt.value + (trace_.partial_last_block ? block - 1 : 0)) / block;
    if (ids != found || found == 0) continue;
    fits = std::to_string(block);
    ++fitting;
  }
  return "; a file of " + (fitting == 1 ? "such blocks of " + fits : "blocks of N") +
         " tokens is read by 'v4cap trace convert --block-tokens " + (fitting == 1 ? fits : "N") +
         "'";
}

void TraceBuilder::add_ids(JsonValue ids) {
  const Tokens prompt = trace_.requests.back().prompt;
  const std::int64_t block = trace_.block.value;
  const std::int64_t expected =
      (prompt.value + (trace_.partial_last_block ? block - 1 : 0)) / block;
  const JsonRange elements = ids.array();
  if (ids.size() != expected) {
    ids.fail("'hash_ids': expected " + std::to_string(expected) + " ids (a prompt of " +
             std::to_string(prompt.value) + " tokens in blocks of " + std::to_string(block) +
             (trace_.partial_last_block ? ", the last one partial" : ", full blocks only") +
             "), found " + std::to_string(ids.size()) + other_block(prompt, ids.size()));
  }
  for (const JsonValue id : elements) add_run(id.integer(0, kTraceIdMax), 1);
}

std::int32_t TraceBuilder::session(std::string_view name) {
  const auto known = sessions_.find(name);
  if (known != sessions_.end()) return known->second;
  const auto index = static_cast<std::int32_t>(trace_.session_names.size());
  sessions_.emplace(name, index);
  trace_.session_names.emplace_back(name);
  last_of_session_.push_back(kNoRequest);
  return index;
}

std::uint32_t TraceBuilder::join_session(std::int32_t session) {
  std::uint32_t& last_request = last_of_session_[static_cast<std::size_t>(session)];
  const std::uint32_t before = last_request;
  TraceRequest& request = trace_.requests.back();
  request.session = session;
  request.turn = before == kNoRequest ? 0 : trace_.requests[before].turn + 1;
  last_request = last();
  return before;
}

void TraceBuilder::note(const std::string& text) {
  if (!text.empty()) trace_.notes.push_back(text);
}

void TraceBuilder::note_count(std::int64_t count, const std::string& text) {
  if (count > 0) note(std::to_string(count) + " " + text);
}

Trace TraceBuilder::finish() {
  if (full()) note("stopped after " + std::to_string(size()) + " requests, as asked");
  link_continuations(trace_);
  return std::move(trace_);
}

Tokens prompt_tokens(JsonValue value) {
  return {value.integer(1, kTraceTokensMax)};
}

Tokens output_tokens(JsonValue value) {
  return {value.integer(0, kTraceTokensMax)};
}

Duration seconds(JsonValue value) {
  constexpr double kLongest_s = 1e9;
  return duration_from_seconds(value.number(0, kLongest_s));
}

bool has_keys(std::string_view line, std::initializer_list<std::string_view> keys) {
  if (!line.starts_with('{')) return false;
  return std::all_of(keys.begin(), keys.end(), [&](std::string_view key) {
    return line.find('"' + std::string(key) + '"') != std::string_view::npos;
  });
}

}  // namespace v4cap
