// scenarios/engines/<layout>.yaml: what an engine does by version, as data: values of its layout's
// parameters, its scheduler's numbers and its defaults. A layout without such a file has no versions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/host_section.h"
#include "sim/config/scheduler_section.h"
#include "sim/config/yaml_tree.h"
#include "sim/core/units.h"
#include "sim/model/node_memory.h"

namespace v4cap {

// Keys of the sections that hold numbers of an engine about its memory.
const std::vector<KeySpec>& memory_rule_keys();

// A version holds from its release, and for builds known by their date only from that date, up to
// the next one of the file.
struct EngineVersion {
  std::string release;                   // "0.26"
  std::string date;                      // "2026-07"
  std::map<std::string, double> values;  // of the layout's parameters
  MemoryRules memory;                    // where they differ from the engine's
  SchedulerStated scheduler;             // the same
  HostStated host;                       // the same
};

struct EngineData {
  std::string name;
  std::string file;
  Tokens block;                           // tokens per cached block
  std::optional<double> memory_fraction;  // default; empty: by fraction_rule
  FractionRule fraction_rule;
  MemoryRules memory;
  Tokens step_tokens;        // default of a step's budget
  Tokens step_tokens_large;  // the same on GPUs of at least `large_gpu`
  Bytes large_gpu;
  std::int64_t max_running = 0;        // default
  std::int64_t max_running_large = 0;  // the same on GPUs of at least `large_gpu`
  // Both of these are of the whole engine and its attention ranks share them; else each rank has
  // them for itself.
  bool ranks_share = false;
  Tokens uncut_tokens;  // that the fraction rule counts where prompts are not cut into chunks
  // Draft tokens of a step by speculative method, where only the method is named.
  std::map<std::string, std::int64_t> draft_tokens;
  // What its own scheduler, the one of its name, goes by. Empty: it has none here.
  std::optional<SchedulerStated> scheduler;
  HostStated host;
  std::vector<EngineVersion> versions;  // oldest first, at least one

  // The version that `given` belongs to, a release ("0.25.1", "v0.26.0rc2"), a date ("2026-08") or
  // "main": the last one that is not newer, or the oldest. nullptr when the text is none of these.
  const EngineVersion* find(const std::string& given) const;

  // What to say of a version whose rules nobody has looked at: "the newest rules known are 0.26's" of
  // a later release or date, "the oldest ..." of an earlier one; "" where it lies between or is of the
  // newest release ("0.26.1"), and of what find() does not know.
  std::string beyond(const std::string& given) const;
};

// Experts are cut by tensor parallelism over all GPUs until a flag spreads them: the default of
// every engine.
inline constexpr std::int64_t kEngineExpertParallel = 1;

// What a launch states in the engine's own terms; empty where the engine's default holds.
struct EngineStated {
  std::optional<std::int64_t> max_running;
  std::optional<Tokens> chunk;  // 0: prompts are not cut
};

struct EngineSettings {
  std::int64_t max_running = 1;  // of one attention rank
  Tokens step_tokens;            // of one attention rank
  Tokens chunk;                  // as the engine's flag has it; 0: prompts are not cut
  double memory_fraction = 1;
};

// What becomes of a launch: the one rule behind the defaults of scenarios and of imported commands.
// `longest` is the model's longest context, which is a step where prompts are not cut.
EngineSettings settle_engine(const EngineData& engine, Bytes gpu_memory, const EngineWidths& widths,
                             Tokens longest, const EngineStated& stated = {});

// The engine's memory rules as a version has them.
MemoryRules memory_rules(const EngineData& engine, const EngineVersion& version);

// What the engine's own scheduler goes by in a version. Only for an engine that has one.
SchedulerStated scheduler_of(const EngineData& engine, const EngineVersion& version);

// Orders releases and dates by their numbers: "0.9" before "0.10", "2026-04" before "2026-11".
// Negative, 0 or positive; nullopt when either text is not of numbers joined by '.' or '-'.
std::optional<int> compare_versions(const std::string& a, const std::string& b);

// What the engine's host costs in a version.
HostStated host_of(const EngineData& engine, const EngineVersion& version);

// The file of the layout `name`; nullopt when there is none. Throws InputError for a file that is
// wrong.
std::optional<EngineData> load_engine(const std::string& name, const std::string& scenario_dir);

// The file of an engine that has one among the program's own data. Throws InputError when it is
// missing there.
EngineData known_engine(const std::string& name);

}  // namespace v4cap
