// From the ids of a trace to the keys of the engine's own blocks.
//
// A trace names blocks of b_t tokens (16, 64, 512), an engine caches blocks of b_e tokens. A trace
// id stands for the whole prefix that ends with its block, so an engine block is named by the trace
// block that ends it (b_e = m b_t: every m-th id) or by its part of the trace block it lies in (b_t
// = r b_e: r keys per id). Either way consecutive ids become consecutive keys, so runs stay runs
// and nothing is expanded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/core/units.h"
#include "traces/trace.h"

namespace v4cap {

// Keys first, first+1, ... of `count` consecutive engine blocks. Equal keys mean equal prefixes.
struct KeyRun {
  std::int64_t first = 0;
  std::int64_t count = 0;
  bool operator==(const KeyRun&) const = default;
};

// Blocks that the runs name.
std::int64_t block_count(std::span<const KeyRun> keys);

// The key of one block, and of each of the first `blocks`. The runs must name them.
std::int64_t key_of_block(std::span<const KeyRun> keys, std::int64_t block);
void block_keys(std::span<const KeyRun> keys, std::int64_t blocks, std::vector<std::int64_t>& out);

// True when every boundary of the larger block is one of the smaller.
bool blocks_compatible(Tokens trace_block, Tokens engine_block);

// Bound of the ids whose engine blocks have keys of their own: a trace's next_free_id must not be
// above it. 2^60, less where an id names several engine blocks.
std::int64_t id_bound(Tokens trace_block, Tokens engine_block);

// Keys of the first `blocks` engine blocks, or of as many as the ids cover. The blocks must be
// compatible.
void append_keys(std::span<const IdRun> ids, Tokens trace_block, Tokens engine_block,
                 std::int64_t blocks, std::vector<KeyRun>& out);

// Keys of all full engine blocks of a request's prompt and output. Blocks that the trace does not
// name (output nobody continues, traces without ids) get keys of their own from `request`, shared
// with none. `ids` is scratch.
void sequence_keys(const Trace& trace, std::uint32_t request, Tokens engine_block,
                   std::vector<IdRun>& ids, std::vector<KeyRun>& out);

}  // namespace v4cap
