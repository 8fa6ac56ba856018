// The directory of a sweep, and who may write into it.
//
//   plan.json          the plan that ran last, or the one that shards run (plan.h)
//   sweep.sqlite       results by key (result_store.h)
//   points.csv, .jsonl the exported results of the plan (export.h)
//   shards/            files of shards (shard.h)
//   submit.*           what `submit` generated
//   sweep.lock         held while a process works on the directory; the kernel drops it with the
//                      process
#pragma once

#include <string>

#include "sim/sweep/plan.h"

namespace v4cap {

inline constexpr const char* kPlanFile = "plan.json";
inline constexpr const char* kStoreFile = "sweep.sqlite";
inline constexpr const char* kLockFile = "sweep.lock";
inline constexpr const char* kShardFolder = "shards";

class SweepDirectory {
 public:
  // Makes the directory or opens it. Throws InputError for one that holds other things, unless
  // `overwrite`, which also forgets the results and the plan of an earlier sweep; and while another
  // process holds it.
  SweepDirectory(std::string path, bool overwrite);
  ~SweepDirectory();
  SweepDirectory(const SweepDirectory&) = delete;
  SweepDirectory& operator=(const SweepDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
  int lock_ = -1;
};

// Writes a file of a directory whole, or not at all.
void write_file(const std::string& folder, const std::string& name, const std::string& text);

// `path` of a directory that a sweep or a plan made. Throws InputError where there is none.
std::string existing_sweep(const std::string& path);

}  // namespace v4cap
