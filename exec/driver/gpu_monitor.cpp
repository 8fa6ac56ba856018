#include "exec/driver/gpu_monitor.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

namespace v4cap::exec {

std::string throttle_text(std::uint64_t reasons) {
  static constexpr std::pair<std::uint64_t, const char*> kNames[] = {
      {kIdle, "idle"},
      {kSetClocks, "clocks set by hand"},
      {kPowerCap, "power cap"},
      {kHwSlowdown, "hardware slowdown"},
      {kSyncBoost, "sync boost"},
      {kSwThermal, "thermal limit"},
      {kHwThermal, "thermal slowdown"},
      {kPowerBrake, "power brake"},
      {kDisplay, "display clocks"},
  };
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((reasons & bit) != 0) text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

pid_t own_process(const std::vector<GpuProcess>& before, const std::vector<GpuProcess>& after,
                  pid_t pid) {
  const auto holds = [](const std::vector<GpuProcess>& list, pid_t which) {
    return std::ranges::find(list, which, &GpuProcess::pid) != list.end();
  };
  if (holds(after, pid)) return pid;
  pid_t own = 0;
  for (const GpuProcess& process : after) {
    if (holds(before, process.pid)) continue;
    if (own != 0) return 0;
    own = process.pid;
  }
  return own;
}

bool started_by(pid_t pid, pid_t parent) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  // "pid (name) state parent ...", where a name may hold anything.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > text.size()) return false;
  return std::atol(text.c_str() + name_end + 4) == parent;
}

}  // namespace v4cap::exec
