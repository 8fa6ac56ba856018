// The directory of one run (--out DIR). Either every file in it is whole, or it is not there: each
// is written under a temporary name beside its place, flushed to disk, and renamed when all of them
// are complete.
//
//   scenario.resolved.yaml       the scenario with every default; running it gives the same files
//   profile_export.jsonl         one request a line (aiperf.h); of a run that keeps no records written
//                                while it goes on, as those below
//   profile_export_aiperf.json   the summary in AIPerf's form (aiperf.h)
//   summary.json                 the summary in ours, without wall time (summary_json.h)
//   timeline.csv                 occupancy over time (timeline.h); timeline_ranks.csv that of ranks
//   margin.json                  how far figures move with the times of steps (sim/app/margin.h)
//
// A run of which every step is kept has further ones, written while it goes on, each as
// name.partial until the run is complete:
//
//   steps.csv                    every step, its plan and its time (steps_file.h)
//   decisions.csv                what happened to requests and memory (sim/cluster/run_log.h)
//
// The directory is held open, so nothing that is written leaves it, whatever is renamed meanwhile.
// Temporary files are created anew (O_EXCL) and no symbolic link inside the directory is followed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/output/record.h"
#include "sim/output/run_summary.h"
#include "sim/output/text_sink.h"

namespace v4cap {

// A file to be written: `write` puts its content into the sink it is given.
struct RunFile {
  std::string name;  // no directory part
  std::function<void(const TextSink&)> write;
};

// Whether others may write into the directory at the same time: files of names of their own.
enum class Writers : std::uint8_t { one, many };

class RunDirectory {
 public:
  // Creates `path` (parents too) or opens it. Call before the run: a directory that cannot be used
  // is an InputError, and so is one that is not empty unless `overwrite`. With `overwrite` only
  // files of the names written later are replaced; others stay as they are. With one writer the
  // directory is locked (flock) for as long as this lives, and another run that has it is an
  // InputError: two at once would both find it empty, and one result be lost. The lock goes with the
  // process, however that ends; a file system without locks does without.
  RunDirectory(std::string path, bool overwrite, Writers writers = Writers::one);
  // Removes the directory again if it was created here and nothing was written into it.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  // A file for what must not be lost when the run dies: what the sink is given is with the
  // operating system when it returns, under the name `name`.partial, which stays when write() is
  // never reached. The sink throws RunError when nothing more can be written; it must not outlive
  // the directory.
  TextSink stream(const std::string& name);
  // Paths of the files that are being written so.
  std::vector<std::string> partial_files() const;

  // All of the files, and those that were streamed under their names, or RunError with the reason
  // (disk full, no permission) and no half-written file. Of `outdated` names those that are not
  // among them are removed: an earlier run's, which would be taken for this one's.
  void write(const std::vector<RunFile>& files, const std::vector<std::string>& outdated = {});

  const std::string& path() const { return path_; }

 private:
  class StreamedFile;

  bool open();  // false when it was removed meanwhile
  void close();

  std::string path_;
  int directory_ = -1;
  bool created_ = false, written_ = false;
  std::vector<std::unique_ptr<StreamedFile>> streams_;
};

// Files that only some runs have.
const std::vector<std::string>& optional_run_files();

// The files of a run as listed above, without those that are written while it goes on. The arguments must outlive the result.
std::vector<RunFile> run_files(const RunResult& result, const RunSummary& summary,
                               const std::string& resolved_yaml);

}  // namespace v4cap
