// A part of a plan that one machine runs, and its file. Shard i of N has the points i-1, i-1+N, ...
// of the plan, so that neighbours, which take about as long, are spread. The file is written when
// all of its points are there and renamed into place: either it is whole or it is not there, and
// running a shard again gives the same bytes.
//
//   shards/shard-00003-of-00010.jsonl
//     {"format":"v4cap-sweep-shard","plan":"...","shard":3,"shards":10,"points":50}
//     {"key":...,"status":...,...}      one line a point (point_result.h), in the order of the plan
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/sweep/plan.h"
#include "sim/sweep/point_result.h"

namespace v4cap {

struct ShardId {
  std::int64_t number = 1, count = 1;  // 1 <= number <= count
};

// "3/10". Throws InputError.
ShardId parse_shard(const std::string& text);

// Positions in the plan.
std::vector<std::size_t> points_of(const ShardId& shard, std::size_t points);

// Without directories.
std::string file_name(const ShardId& shard);

// `results` by key, one for each point of the shard.
std::string shard_text(const SweepPlan& plan, const ShardId& shard,
                       const std::map<std::string, PointResult>& results);

struct ShardFile {
  std::string path;
  std::string plan;  // hash
  ShardId shard;
  std::vector<PointResult> results;
};

// Throws InputError with the line for a file that is damaged, cut or no shard.
ShardFile read_shard(const std::string& path);

// Paths of the shard files in `folder`, sorted.
std::vector<std::string> shard_files(const std::string& folder);

// Results of all files by key. Throws InputError for a file of another plan, for results that
// are not of the plan, and for two different results of one point.
std::map<std::string, PointResult> merged(const SweepPlan& plan,
                                          const std::vector<std::string>& paths);

}  // namespace v4cap
