// Handing a plan's shards to something that runs jobs on many machines. A target is one file that
// registers itself: it makes the text of a job and says how to hand it in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/registry.h"

namespace v4cap {

struct SubmitRequest {
  std::string name;       // of the sweep
  std::string plan;       // hash
  std::string program;    // path of v4cap
  std::string directory;  // of the plan, absolute
  std::string trace_dir;  // absolute; "" = none
  std::int64_t shards = 1;
  std::int64_t jobs = 1;            // threads of a shard
  double shard_s = 0;               // estimated time of a shard; 0 = not known
  std::int64_t memory_mib = 0;      // estimated memory of a shard; 0 = not known
  std::vector<std::string> option;  // lines of the target's own, as they are
  std::string image, claim, mount;  // k8s: container, volume claim, where it is mounted
};

struct Submission {
  std::string file;  // name in the sweep's directory
  std::string text;  // its content
  std::vector<std::string>
      command;          // hands it in; the first word is looked for in PATH. May be empty
  std::string by_hand;  // for people: how to hand it in
};

using SubmitTargets = Registry<Submission (*)(const SubmitRequest&)>;

// The command that runs a shard, in the words of a shell; `number` is the shell's word for i.
std::string shard_command(const SubmitRequest& request, const std::string& number);

// A name for the job that every target takes: v4cap- and lower-case letters, digits and inner
// hyphens, at most 63.
std::string job_name(const std::string& sweep);

// `word` for a POSIX shell.
std::string shell_word(const std::string& word);

}  // namespace v4cap
