// v4cap completion SHELL: a script that makes a shell complete commands, options and the names that
// options take. Written from the parser, with no help from the program while somebody types.
#include <CLI/CLI.hpp>

#include "sim/app/command.h"

namespace v4cap {

namespace {

std::string replaced(std::string text, char what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, 1, with);
  }
  return text;
}

// In single quotes, as bash and zsh read them.
std::string quoted(const std::string& text) {
  return '\'' + replaced(text, '\'', R"('\'')") + '\'';
}

std::string quoted_for_fish(const std::string& text) {
  return '\'' + replaced(replaced(text, '\\', R"(\\)"), '\'', R"(\')") + '\'';
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// The beginning of a help text, on one line.
std::string brief(const std::string& help) {
  constexpr std::size_t kLongest = 100;
  const std::string line = help.substr(0, help.find('\n'));
  if (line.size() <= kLongest) return line;
  const std::size_t blank = line.rfind(' ', kLongest);
  return line.substr(0, blank == std::string::npos ? kLongest : blank) + " ...";
}

// A command with the words that lead to it: "" for the program, "trace info" for a part.
struct Spot {
  std::string path;
  const CommandText* command;
};

void add_places(const CommandText& command, const std::string& path, std::vector<Spot>& out) {
  out.push_back({path, &command});
  for (const CommandText& part : command.parts) {
    add_places(part, path.empty() ? part.name : path + ' ' + part.name, out);
  }
}

std::vector<Spot> places_of(const CommandText& program) {
  std::vector<Spot> out;
  add_places(program, "", out);
  return out;
}

// A shell function's name cannot hold every character that a program's can.
std::string function_name(const std::string& program) {
  return '_' + replaced(program, '-', "_");
}

std::vector<std::string> names_of_parts(const CommandText& command) {
  std::vector<std::string> names;
  for (const CommandText& part : command.parts) names.push_back(part.name);
  return names;
}

// What may stand where no option is asked for: names of parts, or of what a positional takes.
std::vector<std::string> plain_words(const CommandText& command) {
  std::vector<std::string> words = names_of_parts(command);
  for (const OptionText& option : command.options) {
    if (option.positional) words.insert(words.end(), option.values.begin(), option.values.end());
  }
  return words;
}

// Lines of a case that sets `place` to that of the innermost command, in bash and in zsh.
std::string path_cases(const std::vector<Spot>& places, const std::string& indent) {
  std::string out;
  for (const Spot& place : places) {
    for (const CommandText& part : place.command->parts) {
      out += indent + quoted(place.path + ' ' + part.name) +
             ") place=" + quoted(place.path.empty() ? part.name : place.path + ' ' + part.name) +
             " ;;\n";
    }
  }
  return out;
}

// A case line for every option that takes a value: sets `values`, empty for a file.
std::string value_cases(const std::vector<Spot>& places, const std::string& indent) {
  std::string out;
  for (const Spot& place : places) {
    for (const OptionText& option : place.command->options) {
      if (option.positional || option.value.empty()) continue;
      std::string patterns;
      for (const std::string& name : option.names) {
        patterns += (patterns.empty() ? "" : "|") + quoted(place.path + ' ' + name);
      }
      out += indent + patterns + ") takes=1 values=" + quoted(joined(option.values)) + " ;;\n";
    }
  }
  return out;
}

std::string bash_script(const CommandText& program) {
  const std::vector<Spot> places = places_of(program);
  const std::string function = function_name(program.name);
  std::string out = "# Completion of " + program.name + " for bash: source it, or put it into\n" +
                    "# ~/.local/share/bash-completion/completions/" + program.name + '\n' +
                    function + "() {\n" +
                    R"(  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local place= takes= values= words= flags= i
  COMPREPLY=()
  # --option=value arrives as three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place ${COMP_WORDS[i]}" in
)" + path_cases(places, "      ") +
                    R"(    esac
  done
  case "$place $prev" in
)" + value_cases(places, "    ") +
                    R"(  esac
  if [[ -n $takes ]]; then
    [[ -n $values ]] && COMPREPLY=($(compgen -W "$values" -- "$cur"))
    return 0
  fi
  case "$place" in
)";
  for (const Spot& place : places) {
    std::vector<std::string> options;
    for (const OptionText& option : place.command->options) {
      if (!option.positional) {
        options.insert(options.end(), option.names.begin(), option.names.end());
      }
    }
    out += "    " + quoted(place.path) + ") words=" + quoted(joined(plain_words(*place.command))) +
           " flags=" + quoted(joined(options)) + " ;;\n";
  }
  return out + R"(  esac
  [[ $cur == -* ]] && words=$flags
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o bashdefault -o default -F )" +
         function + ' ' + program.name + '\n';
}

// An entry of zsh's _describe: the word, a colon, what it is.
std::string described(const std::string& word, const std::string& help) {
  return quoted(replaced(word, ':', R"(\:)") + ':' + brief(help));
}

std::string zsh_script(const CommandText& program) {
  const std::vector<Spot> places = places_of(program);
  const std::string function = function_name(program.name);
  std::string out = "#compdef " + program.name + "\n# Completion of " + program.name +
                    " for zsh: put it into a folder of $fpath as _" + program.name + '\n' +
                    function + "() {\n" +
                    R"(  local cur=${words[CURRENT]} prev=${words[CURRENT-1]}
  local place= takes= values= i
  local -a parts flags
  # --option=value is one word.
  if [[ $cur == --*=* ]]; then
    prev=${cur%%=*}
    compset -P '*='
  fi
  for ((i = 2; i < CURRENT; i++)); do
    case "$place ${words[i]}" in
)" + path_cases(places, "      ") +
                    R"(    esac
  done
  case "$place $prev" in
)" + value_cases(places, "    ") +
                    R"(  esac
  if [[ -n $takes ]]; then
    if [[ -n $values ]]; then compadd -- ${=values}; else _files; fi
    return
  fi
  case "$place" in
)";
  for (const Spot& place : places) {
    out += "    " + quoted(place.path) + ")\n      parts=(";
    for (const CommandText& part : place.command->parts) {
      out += "\n        " + described(part.name, part.summary);
    }
    for (const OptionText& option : place.command->options) {
      if (!option.positional) continue;
      for (const std::string& value : option.values) {
        out += "\n        " + described(value, option.help);
      }
    }
    out += ")\n      flags=(";
    for (const OptionText& option : place.command->options) {
      if (option.positional) continue;
      for (const std::string& name : option.names) {
        out += "\n        " + described(name, option.help);
      }
    }
    out += ") ;;\n";
  }
  return out + R"(  esac
  if [[ $cur == -* ]]; then
    _describe option flags
  elif (( ${#parts} )); then
    _describe command parts
  else
    _files
  fi
}
if [[ ${funcstack[1]} == )" +
         function + " ]]; then\n  " + function + " \"$@\"\nelse\n  compdef " + function + ' ' +
         program.name + "\nfi\n";
}

std::string fish_script(const CommandText& program) {
  const std::vector<Spot> places = places_of(program);
  const std::string function = "_" + function_name(program.name) + "_at";
  std::string out = "# Completion of " + program.name + " for fish: put it into\n" +
                    "# ~/.config/fish/completions/" + program.name + ".fish\n" + "function " +
                    function + R"( --description 'is the innermost command the one of these words?'
  set -l place ''
  for word in (commandline -opc)[2..-1]
    switch "$place $word"
)";
  for (const Spot& place : places) {
    for (const CommandText& part : place.command->parts) {
      out += "      case " + quoted_for_fish(place.path + ' ' + part.name) +
             "\n        set place " +
             quoted_for_fish(place.path.empty() ? part.name : place.path + ' ' + part.name) + '\n';
    }
  }
  out += R"(    end
  end
  test "$place" = "$argv[1]"
end
)";
  for (const Spot& place : places) {
    const std::string head = "complete -c " + program.name + " -n " +
                             quoted_for_fish(function + " '" + place.path + "'");
    for (const CommandText& part : place.command->parts) {
      out += head + " -f -a " + quoted_for_fish(part.name) + " -d " +
             quoted_for_fish(brief(part.summary)) + '\n';
    }
    for (const OptionText& option : place.command->options) {
      const std::string help = " -d " + quoted_for_fish(brief(option.help));
      const std::string values =
          option.values.empty() ? "" : " -f -a " + quoted_for_fish(joined(option.values));
      if (option.positional) {
        if (!values.empty()) out += head + values + help + '\n';
        continue;
      }
      out += head;
      for (const std::string& name : option.names) {
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      out += (option.value.empty() ? "" : " -r") + values + help + '\n';
    }
  }
  return out;
}

using Writer = std::string (*)(const CommandText& program);
using Shells = Registry<Writer>;
[[maybe_unused]] const bool bash = Shells::add("bash", bash_script);
[[maybe_unused]] const bool zsh = Shells::add("zsh", zsh_script);
[[maybe_unused]] const bool fish = Shells::add("fish", fish_script);

class CompletionCommand final : public Command {
 public:
  std::string summary() const override {
    return "print a script with which a shell completes commands, options and names";
  }
  bool reads_scenario() const override { return false; }
  std::vector<std::string> values(std::string_view option) const override {
    return option == "SHELL" ? Shells::names() : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    app.add_option("SHELL", shell_, "bash, fish or zsh")->required();
    app.footer("Example: source <(v4cap completion bash)");
  }

  ExitCode run(CommandContext& context) override {
    const Writer* writer = Shells::find(shell_);
    if (writer == nullptr) {
      throw InputError(Place{"SHELL"},
                       "unknown shell '" + shell_ + "'" + suggestion(shell_, Shells::names()));
    }
    context.out << (*writer)(context.describe());
    return ExitCode::done;
  }

 private:
  std::string shell_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "completion",
    []() -> std::unique_ptr<Command> { return std::make_unique<CompletionCommand>(); });

}  // namespace

}  // namespace v4cap
