// The directory of a run, ours or AIPerf's: of its files those that are there, each in its own
// format. Records come first, because only they have single requests; what they do not say is taken
// from the summaries, and peaks of memory that no summary has from the largest sample of
// timeline.csv.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "sim/compare/measured_run.h"
#include "sim/core/text_file.h"
#include "sim/model/cache_kind.h"
#include "traces/csv.h"

namespace v4cap {

namespace {

// In the order in which they are believed.
constexpr std::array<std::pair<const char*, const char*>, 3> kFiles = {
    {{"profile_export.jsonl", "aiperf-records"},
     {"summary.json", "v4cap-summary"},
     {"profile_export_aiperf.json", "aiperf-summary"}}};

bool sniff(const RunSource& source) {
  return source.is_directory;
}

// Bytes of one GPU, in use and cached, at the sample where a kind has most.
void read_timeline(const std::string& path, MeasuredRun& run) {
  TextFile file(path);
  std::string header = "time_s,running,waiting";
  for (const CacheKind kind : all_cache_kinds()) {
    header += fmt::format(",{0}_in_use_bytes,{0}_cached_bytes", name_of(kind));
  }
  CsvReader rows(file, header);
  KindBytes peak;
  while (rows.next()) {
    std::size_t field = 3;
    for (const CacheKind kind : all_cache_kinds()) {
      constexpr std::int64_t kBytesMax = std::int64_t{1} << 60;
      const std::int64_t bytes =
          rows.integer(field, 0, kBytesMax) + rows.integer(field + 1, 0, kBytesMax);
      peak[kind] = std::max(peak[kind], bytes);
      field += 2;
    }
  }
  double sum = 0;
  for (const CacheKind kind : all_cache_kinds()) {
    const double gib = to_gib(Bytes{peak[kind]});
    run.figures["kv_peak_" + std::string(name_of(kind))] = gib;
    sum += gib;
  }
  run.figures["kv_peak"] = sum;
  run.notes.push_back("peaks of memory are those of the samples in timeline.csv");
}

// What two files say of the same run must be of the same run.
void check_same_run(const MeasuredRun& run, const MeasuredRun& other, const std::string& path) {
  const auto mine = run.figure("requests"), theirs = other.figure("requests");
  if (mine && theirs && *mine != *theirs) {
    throw InputError(Place{path}, fmt::format("expected the summary of {:.0f} requests, as {} has, "
                                              "found one of {:.0f}",
                                              *mine, kFiles[0].first, *theirs));
  }
}

MeasuredRun read(const std::string& path) {
  MeasuredRun run;
  bool found = false;
  for (const auto& [name, format] : kFiles) {
    const std::string file = path + '/' + name;
    if (!std::filesystem::exists(file)) continue;
    MeasuredRun part = RunFormats::find(format)->read(file);
    if (!found) {
      run = std::move(part);
    } else {
      check_same_run(run, part, file);
      run.figures.merge(part.figures);
      for (const std::string& note : part.notes) {
        if (std::ranges::find(run.notes, note) == run.notes.end()) run.notes.push_back(note);
      }
    }
    found = true;
  }
  if (!found) {
    throw InputError(Place{path},
                     "expected the directory of a run, with profile_export.jsonl, summary.json or "
                     "profile_export_aiperf.json in it, found none of them");
  }
  const std::string timeline = path + "/timeline.csv";
  if (!run.figures.contains("kv_peak") && std::filesystem::exists(timeline)) {
    read_timeline(timeline, run);
  }
  return run;
}

const bool registered = RunFormats::add("run-directory", {"directory of a run", sniff, read});

}  // namespace

}  // namespace v4cap
