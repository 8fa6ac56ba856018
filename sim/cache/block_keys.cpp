#include "sim/cache/block_keys.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Keys from trace ids stay below 2^60.
constexpr std::int64_t kNamedKeys = std::int64_t{1} << 60;
// Keys of blocks that only one request has: 2^26 of them for each of 2^32 requests, more than
// blocks of one token in the longest prompt and output that a trace may hold.
constexpr std::int64_t kPrivateBase = std::int64_t{1} << 61;
constexpr int kPrivateShift = 26;

void append_run(std::vector<KeyRun>& out, KeyRun run) {
  if (run.count <= 0) return;
  if (!out.empty() && out.back().first + out.back().count == run.first) {
    out.back().count += run.count;
  } else {
    out.push_back(run);
  }
}

// b_e = m b_t: block j is named by id number j*m + m-1. Ids with the same remainder modulo m become
// consecutive keys, and each remainder has a range of keys of its own.
void append_coarser(std::span<const IdRun> ids, std::int64_t m, std::int64_t blocks,
                    std::vector<KeyRun>& out) {
  std::int64_t position = 0;  // of the run's first id
  std::int64_t block = 0;
  for (const IdRun& run : ids) {
    const std::int64_t end = position + run.count;
    const std::int64_t last = std::min(blocks, end / m);  // blocks named by an id before `end`
    if (last > block) {
      const std::int64_t id = run.first + (block * m + m - 1 - position);
      append_run(out, {id % m * (kNamedKeys / m) + id / m, last - block});
      block = last;
    }
    position = end;
  }
}

// b_t = r b_e: id i names blocks i*r .. i*r + r-1 of key space.
void append_finer(std::span<const IdRun> ids, std::int64_t r, std::int64_t blocks,
                  std::vector<KeyRun>& out) {
  for (const IdRun& run : ids) {
    const std::int64_t count = std::min(blocks, run.count * r);
    append_run(out, {run.first * r, count});
    blocks -= count;
    if (blocks == 0) return;
  }
}

}  // namespace

std::int64_t block_count(std::span<const KeyRun> keys) {
  std::int64_t n = 0;
  for (const KeyRun& run : keys) n += run.count;
  return n;
}

std::int64_t key_of_block(std::span<const KeyRun> keys, std::int64_t block) {
  for (const KeyRun& run : keys) {
    if (block < run.count) return run.first + block;
    block -= run.count;
  }
  V4CAP_CHECK(false, "a block without a key");
}

void block_keys(std::span<const KeyRun> keys, std::int64_t blocks, std::vector<std::int64_t>& out) {
  out.clear();
  out.reserve(static_cast<std::size_t>(blocks));
  for (const KeyRun& run : keys) {
    const std::int64_t left = blocks - static_cast<std::int64_t>(out.size());
    for (std::int64_t i = 0; i < std::min(run.count, left); ++i) out.push_back(run.first + i);
  }
  V4CAP_CHECK(static_cast<std::int64_t>(out.size()) == blocks, "a block without a key");
}

bool blocks_compatible(Tokens trace_block, Tokens engine_block) {
  if (trace_block.value == 0) return true;  // no ids to map
  return engine_block % trace_block == Tokens{0} || trace_block % engine_block == Tokens{0};
}

std::int64_t id_bound(Tokens trace_block, Tokens engine_block) {
  return kNamedKeys / std::max<std::int64_t>(1, trace_block / engine_block);
}

void append_keys(std::span<const IdRun> ids, Tokens trace_block, Tokens engine_block,
                 std::int64_t blocks, std::vector<KeyRun>& out) {
  V4CAP_CHECK(blocks_compatible(trace_block, engine_block), "block sizes do not nest");
  if (engine_block >= trace_block) {
    append_coarser(ids, engine_block / trace_block, blocks, out);
  } else {
    append_finer(ids, trace_block / engine_block, blocks, out);
  }
}

void sequence_keys(const Trace& trace, std::uint32_t request, Tokens engine_block,
                   std::vector<IdRun>& ids, std::vector<KeyRun>& out) {
  out.clear();
  const TraceRequest& r = trace.played(request);
  const std::int64_t prompt_blocks = r.prompt / engine_block;
  const std::int64_t all_blocks = (r.prompt + r.output) / engine_block;
  if (trace.block.value > 0) {
    V4CAP_CHECK(trace.next_free_id <= id_bound(trace.block, engine_block),
                "block ids up to " + std::to_string(trace.next_free_id) + " have no keys");
    const auto prompt_ids = trace.runs_of(r);
    ids.assign(prompt_ids.begin(), prompt_ids.end());
    const bool continued = r.continued_by != kNoRequest;
    if (continued) {
      // The continuation names the partly filled last block itself.
      std::int64_t excess = -(r.prompt / trace.block);
      for (const IdRun& run : ids) excess += run.count;
      if (excess > 0) ids.back().count -= excess;
      append_output_ids(trace, r, ids);
    }
    append_keys(ids, trace.block, engine_block, continued ? all_blocks : prompt_blocks, out);
  }
  const std::int64_t named = block_count(out);
  append_run(out, {kPrivateBase + (static_cast<std::int64_t>(request) << kPrivateShift) + named,
                   all_blocks - named});
}

}  // namespace v4cap
