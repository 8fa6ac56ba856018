// The results of a sweep in one SQLite file. A result is on disk when add() returns: whatever ends
// the process after that, a signal or the power, it is kept, and the next run finds it.
//
// Write-ahead log with a flush for each result (synchronous = FULL). One process writes at a time
// (SweepDirectory); the file is for a local disk, SQLite's locks do not hold on network file
// systems.
//
//   results(key, status, document)      every result that was ever made here, by its key
//   plan(position, key, "values")       the points of the sweep that ran last, axis values as JSON
//   points                              a view of both for people: axes and figures as columns
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "sim/sweep/plan.h"
#include "sim/sweep/point_result.h"

struct sqlite3;

namespace v4cap {

class ResultStore {
 public:
  // Opens or makes the file. Throws InputError for a file that is something else, or was written by
  // a newer version; RunError when it cannot be opened.
  explicit ResultStore(const std::string& path);
  ~ResultStore();
  ResultStore(const ResultStore&) = delete;
  ResultStore& operator=(const ResultStore&) = delete;

  // Safe on several threads. A result that is there already must be the same: RunError of kind
  // "conflict" otherwise. RunError of kind "disk_full" when there is no space.
  void add(const PointResult& result);
  std::optional<PointResult> find(const std::string& key) const;
  std::set<std::string> keys() const;

  // Replaces the plan, and the view with it.
  void set_plan(const SweepPlan& plan);

 private:
  class Statement;
  void execute(const std::string& sql);
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  mutable std::mutex mutex_;
  sqlite3* database_ = nullptr;
};

}  // namespace v4cap
