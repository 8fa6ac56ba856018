// A scenario in the making: what a launch command says, line by line with the reason for each, and
// what could not be said. The text it gives is a scenario file that people read and change.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/import/flag_table.h"

namespace v4cap {

// Where a line of the scenario comes from.
enum class Origin : std::uint8_t {
  command,  // a flag or a variable of the command
  log,      // the engine's log
  engine,   // the engine's default
  import,   // v4cap's choice, because nothing said it
  user,     // options of `v4cap import`
};

std::string_view name_of(Origin origin);

struct DraftLine {
  std::string path;    // "engine.max_running"
  std::string value;   // YAML
  std::string reason;  // shown as a comment beside the line
  Origin origin = Origin::command;
  Place place;  // in the command; file "" when it is not from there
};

// Something that the command asks for and the scenario cannot hold.
struct Omission {
  std::string flag;  // as written, with its value
  std::string what;
  Place place;
};

// A flag whose value only the shell knows: every verdict holds only if it is what we took.
struct OpenFlag {
  std::string written;  // "-tp", or a word such as "$ARGS"
  std::string path;     // of the scenario; "" = several or none
  std::string assumed;  // "1"; "" = the engine's default
};

class ScenarioDraft {
 public:
  // A later value for the same path replaces the earlier one, and everything below it.
  void set(DraftLine line);
  void set(const std::string& path, const std::string& value, const FlagUse& from);
  void assume(const std::string& path, const std::string& value, const std::string& reason,
              Origin origin = Origin::engine);
  void leave_out(const FlagUse& flag, const std::string& what);
  void leave_out(Omission omission) { omissions_.push_back(std::move(omission)); }
  void leave_open(OpenFlag flag);
  // Those that the user has not settled himself.
  std::vector<OpenFlag> open_flags() const;
  // The engine takes a share of what weights and buffers leave, not of the whole GPU: known only
  // when the scenario can say what they take.
  void take_free_memory(double fraction, std::string reason) {
    free_fraction_ = fraction;
    free_reason_ = std::move(reason);
  }
  std::optional<double> free_fraction() const { return free_fraction_; }
  const std::string& free_reason() const { return free_reason_; }
  void note(std::string text) { notes_.push_back(std::move(text)); }

  const DraftLine* find(const std::string& path) const;
  const std::vector<DraftLine>& lines() const { return lines_; }
  const std::vector<Omission>& omissions() const { return omissions_; }
  // What a reader must know about the translation, in whole sentences.
  const std::vector<std::string>& notes() const { return notes_; }

  // The scenario as YAML, under `header`, which is one comment line an entry.
  std::string yaml(const std::vector<std::string>& header) const;

 private:
  std::vector<DraftLine> lines_;
  std::vector<Omission> omissions_;
  std::vector<OpenFlag> open_;
  std::vector<std::string> notes_;
  std::optional<double> free_fraction_;
  std::string free_reason_;
};

}  // namespace v4cap
