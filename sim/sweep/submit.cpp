#include "sim/sweep/submit.h"

#include "sim/sweep/sweep_directory.h"

namespace v4cap {

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + '\'';
}

std::string job_name(const std::string& sweep) {
  std::string out = "v4cap-";
  for (const char c : sweep.substr(0, 50)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    out += upper ? static_cast<char>(c - 'A' + 'a') : plain ? c : '-';
  }
  while (out.ends_with('-')) out.pop_back();
  return out;
}

std::string shard_command(const SubmitRequest& request, const std::string& number) {
  std::string command = shell_word(request.program) + " sweep " +
                        shell_word(request.directory + '/' + kPlanFile) + " --shard " + number +
                        '/' + std::to_string(request.shards) + " --jobs " +
                        std::to_string(request.jobs) + " --quiet";
  if (!request.trace_dir.empty()) command += " --traces " + shell_word(request.trace_dir);
  return command;
}

}  // namespace v4cap
