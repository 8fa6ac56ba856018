// What readers share: growing a Trace request by request, block ids in either of the two
// conventions, sessions by name, and counted notes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "sim/core/json.h"
#include "traces/reader.h"

namespace v4cap {

class TraceBuilder {
 public:
  // `block` is the format's own block size; a stated one takes its place and the ids are checked
  // against it.
  TraceBuilder(const TraceReadOptions& options, Tokens block);

  Trace& trace() { return trace_; }
  bool full() const { return max_requests_ > 0 && size() >= max_requests_; }
  std::int64_t size() const { return static_cast<std::int64_t>(trace_.requests.size()); }
  std::uint32_t last() const { return static_cast<std::uint32_t>(trace_.requests.size() - 1); }

  // Opens the next request; runs and predecessors added from here on are its own.
  TraceRequest& add(Tokens prompt, Tokens output);
  // Ids first..first+count-1 follow; joins the run before when they continue it. count > 0.
  void add_run(std::int64_t first, std::int64_t count);
  void add_after(std::uint32_t request);
  // The array `ids` of the request just added, checked against its prompt: floor(prompt / block)
  // ids, or ceil when the trace's last blocks are partial.
  void add_ids(JsonValue ids);
  // Index of the session, new or known.
  std::int32_t session(std::string_view name);
  // Turns are numbered in file order; the request before in the session is returned, or kNoRequest.
  std::uint32_t join_session(std::int32_t session);

  void note(const std::string& text);                            // nothing when empty
  void note_count(std::int64_t count, const std::string& text);  // "<count> <text>", nothing when 0
  Trace finish();

 private:
  std::string other_block(Tokens prompt, std::int64_t found) const;

  Trace trace_;
  std::int64_t max_requests_;
  std::map<std::string, std::int32_t, std::less<>> sessions_;
  std::vector<std::uint32_t> last_of_session_;
};

// Checked lengths of a JSON request: prompt 1.., output 0.., both at most kTraceTokensMax.
Tokens prompt_tokens(JsonValue value);
Tokens output_tokens(JsonValue value);

// Seconds as JSON, 0 to 10^9 (31 years), so that a few may be added up.
Duration seconds(JsonValue value);

// Does `line` open an object with all of these keys (as text; the reader checks the rest)?
bool has_keys(std::string_view line, std::initializer_list<std::string_view> keys);

}  // namespace v4cap
