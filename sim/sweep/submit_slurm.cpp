// Slurm: a job array with a task for each shard. A task is requeued when its node is lost and then
// runs its shard from the start; a shard that is there already ends at once, so that the same
// script may be submitted again after a failure.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/sweep/submit.h"

namespace v4cap {

namespace {

// Ten times the estimate, at least half an hour: a limit is for what hangs.
std::int64_t minutes(double shard_s) {
  return std::max<std::int64_t>(30, std::llround(std::ceil(shard_s * 10 / 60)));
}

// Lines of #SBATCH have neither quoting that all versions agree on nor a way to write a '%'.
void check_plain(const std::string& path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+:,@";
  if (path.find_first_not_of(kPlain) == std::string::npos) return;
  throw InputError(Place{path},
                   "expected a path of letters, digits and _-./=+:,@ for Slurm's log files");
}

Submission slurm(const SubmitRequest& r) {
  check_plain(r.directory);
  std::string text = "#!/bin/bash\n";
  text += fmt::format("#SBATCH --job-name={}\n#SBATCH --array=1-{}\n", job_name(r.name), r.shards);
  text += "#SBATCH --nodes=1\n#SBATCH --ntasks=1\n";
  text += fmt::format("#SBATCH --cpus-per-task={}\n", r.jobs);
  if (r.memory_mib > 0) text += fmt::format("#SBATCH --mem={}M\n", r.memory_mib);
  text += fmt::format("#SBATCH --time={}\n", minutes(r.shard_s));
  text += "#SBATCH --requeue\n#SBATCH --open-mode=append\n";
  text += fmt::format("#SBATCH --output={}/slurm-%A_%a.log\n", r.directory);
  for (const std::string& line : r.option) text += "#SBATCH " + line + '\n';
  text += "exec " + shard_command(r, "\"${SLURM_ARRAY_TASK_ID}\"") + '\n';
  const std::string file = "submit.slurm";
  const std::string path = r.directory + '/' + file;
  return {file, text, {"sbatch", "--parsable", path}, "sbatch " + shell_word(path)};
}

[[maybe_unused]] const bool registered = SubmitTargets::add("slurm", slurm);

}  // namespace

}  // namespace v4cap
