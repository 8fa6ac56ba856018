// What v4cap knows of an engine's server: how its command is recognised, which flags it takes, what
// they do to a scenario, what it takes where nothing is said, and which figures its log states. One
// file per engine, registered by name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/registry.h"
#include "sim/import/engine_log.h"
#include "sim/import/flag_table.h"
#include "sim/import/scenario_draft.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/hardware.h"
#include "sim/model/model.h"

namespace v4cap {

// An environment variable that an engine reads.
struct EngineVariable {
  std::string_view name;
  FlagEffect effect = FlagEffect::none;
  std::string_view note;  // not_modelled: what is left out
};

// A variable as the command sets it.
struct VariableUse {
  std::string name, value;
  Place place;
};

struct LaunchContext {
  const FlagUses& flags;
  const std::vector<VariableUse>& variables;
  const std::vector<LogFact>& log;
  const ModelSpec& model;
  const HardwareSpec& hardware;
  const EntryFormat& entry;  // bytes of the model's entries
  std::string command_dir;   // folder of the command's file, for files that the command names

  const VariableUse* variable(std::string_view name) const;
  const LogFact* stated(LogQuantity quantity) const;  // the first in the log
};

class EngineDialect {
 public:
  virtual ~EngineDialect() = default;
  virtual const FlagTable& flags() const = 0;
  virtual const std::vector<EngineVariable>& variables() const = 0;
  virtual const std::vector<LogLine>& log_lines() const = 0;
  // Where this server's arguments begin among the words of a command; nullopt: another program.
  virtual std::optional<std::size_t> arguments_begin(const std::vector<ShellWord>& words) const = 0;
  // The word that names the model, nullptr when there is none.
  virtual const ShellWord* positional_model(const FlagUses& flags) const = 0;
  virtual std::string_view model_flag() const = 0;  // "--model-path"
  // Fills `draft` with everything but model, hardware and workload.
  virtual void translate(const LaunchContext& context, ScenarioDraft& draft) const = 0;
};

using DialectRegistry = Registry<std::unique_ptr<EngineDialect> (*)()>;

// Helpers for dialects.

// Position of the word after `first` and `second`, two words that follow each other, where a path
// before the first does not matter ("/usr/bin/vllm serve").
std::optional<std::size_t> after_words(const std::vector<ShellWord>& words, std::string_view first,
                                       std::string_view second);
std::optional<std::size_t> after_word(const std::vector<ShellWord>& words, std::string_view word);

// The value of a flag as a number. nullopt when the flag is absent, or when its value is a variable
// that the text does not give, which is then said in the draft. Throws InputError at the value.
// Engines take 1k as 1,000 and 1K as 1,024.
class FlagReader {
 public:
  FlagReader(const LaunchContext& context, ScenarioDraft& draft)
      : context_(context), draft_(draft) {}

  const FlagUse* find(std::string_view name) const { return context_.flags.find(name); }
  bool on(std::string_view name) const;  // a boolean that was given as true
  std::optional<std::int64_t> count(std::string_view name, std::int64_t min,
                                    std::int64_t max = 1'000'000'000);
  std::optional<double> fraction(std::string_view name);  // in (0, 1]
  std::optional<double> number(std::string_view name, double min, double max);
  std::optional<std::string> text(std::string_view name);

  // The same with what the engine takes in its place; an open value is then said to be that one.
  std::int64_t count_or(const std::string& path, std::string_view name, std::int64_t min,
                        std::int64_t max, std::int64_t fallback);

  // The flag is there and only the shell knows its value.
  bool open(std::string_view name) const;
  // What stands in the scenario where the flag is open; "" = the engine's default. Else nothing.
  void stands_in(std::string_view name, const std::string& path, const std::string& assumed);
  // Why a line holds the engine's default: `reason`, and that the flag is open where it is.
  std::string default_reason(std::string_view name, const std::string& reason) const;

  // Takes the flag's number into the scenario, or the engine's default with its reason.
  std::int64_t count_into(const std::string& path, std::string_view name, std::int64_t min,
                          std::int64_t fallback, const std::string& reason);

 private:
  bool is_open(const FlagUse& use);

  const LaunchContext& context_;
  ScenarioDraft& draft_;
};

// Checkpoints with a DSpark draft carry more layers than the one that MTP drafts with.
void draft_with_one_layer(const LaunchContext& context, const std::string& reason,
                          ScenarioDraft& draft);

std::optional<std::int64_t> parse_engine_count(std::string_view text);

// "12.5", shortest form.
std::string number_text(double value);

}  // namespace v4cap
