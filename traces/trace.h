// A request trace in one form, whatever file it came from. Readers (one file per public format) and
// the generator produce it; the simulator and `v4cap trace` consume it.
//
// Prefix identity. A prompt is described by the ids of its blocks of `block` tokens, as runs of
// consecutive ids. Ids are chained: the id of a block stands for the whole prefix that ends with
// it, so equal ids mean equal prefixes. Ids are unique in the whole Trace: readers of formats with
// session-local ids shift each session into a range of its own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

// ids first, first+1, ..., first+count-1 of consecutive blocks.
struct IdRun {
  std::int64_t first = 0;
  std::int64_t count = 0;
  bool operator==(const IdRun&) const = default;
};

inline constexpr std::uint32_t kNoRequest = 0xffffffffU;
inline constexpr std::int32_t kNoSession = -1;

struct TraceRequest {
  Tokens prompt;  // > 0
  Tokens output;  // >= 0; 0 = aborted after its prompt was read
  // From the trace's start; meaningful when Trace::has_arrivals. A request with `after` really
  // starts `think` after they have finished; its arrival is then when it would if serving took no
  // time.
  Duration arrival{};
  Duration think{};                   // closed loop: pause after the last of `after` has finished
  std::int32_t session = kNoSession;  // index into Trace::session_names, or kNoSession
  std::int32_t turn = 0;              // position within the session, in file order, from 0
  std::int32_t group = -1;            // rollouts of one prompt share a group; -1 = none
  std::uint32_t runs_begin = 0, runs_end = 0;  // prompt block ids: Trace::runs[begin, end)
  // Requests that must finish first: Trace::after[begin, end). Always earlier in file order.
  std::uint32_t after_begin = 0, after_end = 0;
  // The first later request of the session whose prompt continues this prompt with its output (its
  // ids begin with all full blocks of this prompt and it is at least prompt + output tokens long).
  // A prompt shorter than a block shows no prefix and is continued by none.
  std::uint32_t continued_by = kNoRequest;
};

// A stretch of requests that a client sends after all before have ended, at most `concurrency` of
// them in flight.
struct TracePhase {
  std::uint32_t begin = 0, end = 0;  // of Trace::requests
  std::int64_t concurrency = 0;
  bool measured = true;  // false: warm-up and earlier runs, which no metric counts
};

struct Trace {
  std::string name;    // for people: usually the file name
  std::string format;  // reader that made it: "mooncake", "weka", ...
  Tokens block;        // tokens per id; 0 when the format carries no ids
  bool has_arrivals = false;
  bool has_sessions = false;
  bool partial_last_block =
      false;  // the last id of a prompt may stand for less than a block (Mooncake)
  std::vector<TraceRequest> requests;  // file order; `after` and `continued_by` index into it
  std::vector<IdRun> runs;
  std::vector<std::uint32_t> after;
  std::vector<std::string> session_names;
  std::vector<TracePhase> phases;  // in order, covering all requests; none: no client says when
  std::int64_t next_free_id = 0;   // larger than every id in use
  std::vector<std::string>
      notes;  // what the reader decided or dropped, with counts, for `trace info`
  // Requests that are played where those of the file come over and over (traces/cycle.h); 0: each
  // comes once.
  std::uint32_t cycled_to = 0;

  // What a run plays: its request r is request r modulo those of the file, and one of its own.
  std::uint32_t played() const {
    return cycled_to > 0 ? cycled_to : static_cast<std::uint32_t>(requests.size());
  }
  const TraceRequest& played(std::uint32_t r) const {
    return requests[cycled_to > 0 ? r % requests.size() : r];
  }

  std::span<const IdRun> runs_of(const TraceRequest& r) const {
    return {runs.data() + r.runs_begin, runs.data() + r.runs_end};
  }
  std::span<const std::uint32_t> after_of(const TraceRequest& r) const {
    return {after.data() + r.after_begin, after.data() + r.after_end};
  }
};

// Sets continued_by of every request of a trace with sessions and ids. Readers call it last.
void link_continuations(Trace& trace);

// Ids that the generated tokens of `request` will have in the prompt that continues it: the blocks
// after the prompt's last full block, up to floor((prompt + output) / block). Appends nothing when
// unknown.
void append_output_ids(const Trace& trace, const TraceRequest& request, std::vector<IdRun>& out);

}  // namespace v4cap
