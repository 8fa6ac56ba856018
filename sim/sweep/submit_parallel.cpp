// GNU parallel: one line for one machine, or for several with --sshlogin. Shards that failed are
// run again by the same line.
#include "sim/sweep/submit.h"

namespace v4cap {

namespace {

Submission parallel(const SubmitRequest& r) {
  // parallel skips what its log has, whatever that was: each plan and number of shards has its own.
  const std::string shards = std::to_string(r.shards);
  const std::string log = r.directory + "/submit-" + r.plan + '-' + shards + ".joblog";
  std::string line = "seq 1 " + shards + " | parallel --joblog " + shell_word(log) +
                     " --resume-failed --retries 3";
  for (const std::string& option : r.option) line += ' ' + option;
  // parallel hands the line to a shell of its own: quoted twice.
  line += ' ' + shell_word(shard_command(r, "{}"));
  return {"submit.parallel", "#!/bin/sh\n" + line + '\n', {}, line};
}

[[maybe_unused]] const bool registered = SubmitTargets::add("parallel", parallel);

}  // namespace

}  // namespace v4cap
