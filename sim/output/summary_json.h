// The document that `v4cap simulate --json` prints and the run directory keeps as summary.json.
// Keys are the command contract's; what a run does not have (TTFT when nothing was generated) is
// null, never 0.
//
//   hit_rate             hit_tokens / prompt_tokens, 0..1
//   kv_peak_gib          GiB of one GPU by cache kind, running and cached together
//   ideal_hit_rate       what an infinite cache would have reached; null without block ids
//   quantile_relative_error   only of a long run, whose records are not kept: that of p50, p90, p99;
//                        all else is exact
//   hit_bytes            state of one GPU by cache kind, over the whole run: taken from the cache
//   by rebuilt_bytes        hits, rebuilt for hits, computed and kept for reuse, and evicted
//   written_bytes
//   evicted_bytes
//   tiers                only with tiers below GPU memory: gpu_hit_tokens, hit tokens that were on
//                        the GPU, where requests are lost at least so many; load_wait_s, by which
//                        steps became longer; and by tier its books (sim/output/record.h)
//   tok_s_per_gpu        prompt tokens served from cache, prompt tokens computed, generated tokens
//   time_share           fractions of the simulated step time by where they came from
//   binding_constraint   verdict.h
//   result_hash          16 hexadecimal digits; equal hashes mean equal decisions
#pragma once

#include <functional>
#include <string>

#include "sim/output/json_writer.h"
#include "sim/output/run_summary.h"

namespace v4cap {

// Wall time differs from run to run: it goes to stdout, and never into a file that is compared.
enum class WallTime : bool { left_out, included };

// Writes further members at the end of the object.
using MoreMembers = std::function<void(JsonWriter&)>;

// As one object, for documents that hold several runs.
void write_summary(JsonWriter& json, const RunSummary& summary, WallTime wall_time,
                   const MoreMembers& more = {});

// As a document of its own, with a newline at its end.
std::string summary_json(const RunSummary& summary, WallTime wall_time,
                         const MoreMembers& more = {});

}  // namespace v4cap
