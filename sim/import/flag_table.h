// The flags that an engine's server takes, as data, and a command's arguments read by them. A flag
// that the engine has but v4cap has no use for is still known: what it would change, or that it
// changes nothing here, is said of it, so that only what nobody knows is called unknown.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/import/shell.h"

namespace v4cap {

enum class FlagKind : std::uint8_t {
  value,    // --flag V, --flag=V
  boolean,  // --flag; where the engine has them also --no-flag and --flag=true
  list,     // --flag V V ...
  json,     // --flag '{"a": {"b": 1}}', --flag.a.b=1
};

enum class FlagEffect : std::uint8_t {
  sets,          // changes the scenario
  none,          // changes neither memory nor time of a step: ports, parsers, logs, keys
  not_modelled,  // changes something that the simulator leaves out
};

struct Flag {
  std::vector<std::string> names;  // the first is the one that messages use
  FlagKind kind = FlagKind::value;
  FlagEffect effect = FlagEffect::none;
  std::string note;  // not_modelled: what is left out
};

// How an engine spells flags.
struct FlagSyntax {
  bool underscores_are_hyphens = false;  // --max_num_seqs is --max-num-seqs
  bool no_prefix = false;                // --no-enable-x is --enable-x off
  bool prefixes = false;                 // an unambiguous beginning of a name will do (argparse)
};

// One use of a flag in a command.
struct FlagUse {
  const Flag* flag = nullptr;
  std::string written;                        // "-tp"
  Place place;                                // of the flag
  std::string value;                          // "true" or "false" for booleans; raw text for json
  Place value_place;                          // where the value is
  std::map<std::string, std::string> fields;  // json: dotted key to scalar
  std::vector<std::string> unresolved;        // variables in the value

  // "--tp-size 8", as a comment can quote it.
  std::string quoted() const;
};

struct UnknownFlag {
  std::string written;
  Place place;
  std::string nearest;  // known flag that may be meant, or ""
};

// Arguments by flag. A repeated flag counts as it last was; json fields add up.
struct FlagUses {
  std::vector<FlagUse> uses;  // in order, repeated ones left out
  std::vector<UnknownFlag> unknown;
  std::vector<ShellWord> positional;

  const FlagUse* find(std::string_view name) const;  // by the flag's first name
};

class FlagTable {
 public:
  explicit FlagTable(FlagSyntax syntax) : syntax_(syntax) {}

  // `names` separated by spaces, "--tensor-parallel-size --tp-size -tp".
  FlagTable& sets(std::string_view names, FlagKind kind = FlagKind::value);
  // Many flags at once, separated by spaces, without their leading hyphens; "a|b" are two names of
  // one.
  FlagTable& no_effect(FlagKind kind, std::string_view names);
  FlagTable& not_modelled(FlagKind kind, std::string note, std::string_view names);

  const std::vector<Flag>& flags() const { return flags_; }

  // Throws InputError for a flag without its value, a value that is no true or false, and JSON
  // that is none.
  FlagUses read(const std::vector<ShellWord>& arguments) const;

 private:
  class Reader;
  struct Match {
    const Flag* flag = nullptr;
    bool negated = false;
    std::string field;  // "a.b" of --flag.a.b
  };
  void add(Flag flag);
  void add_many(FlagKind kind, FlagEffect effect, const std::string& note, std::string_view names);
  std::string canonical(std::string_view name) const;
  const Flag* find(const std::string& name) const;
  Match match(const std::string& name) const;
  std::string nearest(const std::string& name) const;
  bool is_flag(const ShellWord& word) const;

  FlagSyntax syntax_;
  std::vector<Flag> flags_;
  std::map<std::string, std::size_t> by_name_;
};

}  // namespace v4cap
