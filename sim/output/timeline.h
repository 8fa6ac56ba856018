// timeline.csv: memory and queue over the run, for a chart or a spreadsheet. One row a sample:
//
//   time_s, running, waiting, <kind>_in_use_bytes and <kind>_cached_bytes for every cache kind
//
// Bytes are of one GPU. `in_use` is what running requests hold, `cached` is kept for reuse and
// evictable.
#pragma once

#include <vector>

#include "sim/output/record.h"
#include "sim/output/text_sink.h"

namespace v4cap {

void write_timeline(const std::vector<OccupancySample>& samples, const TextSink& sink);

// timeline_replicas.csv, of a cluster: the same of every replica, whose number is the first column.
void write_timelines(const std::vector<ReplicaResult>& replicas, const TextSink& sink);

// timeline_ranks.csv, where replicas have several attention ranks: the same of each rank, of one of
// its GPUs. Replica and rank are the first columns.
void write_rank_timelines(const RunResult& result, const TextSink& sink);
bool has_rank_timelines(const RunResult& result);

}  // namespace v4cap
