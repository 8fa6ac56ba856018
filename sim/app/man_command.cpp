// v4cap man: manual pages, written from what --help says.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "sim/app/command.h"
#include "sim/output/run_directory.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

// Text as roff prints it unchanged.
std::string roff(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool starts_line = i == 0 || text[i - 1] == '\n';
    if (starts_line && (text[i] == '.' || text[i] == '\'')) out += "\\&";
    if (text[i] == '\\') {
      out += "\\e";
    } else if (text[i] == '-') {
      out += "\\-";
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string bold(const std::string& text) {
  return "\\fB" + roff(text) + "\\fR";
}

std::string value_of(const OptionText& option) {
  return option.value.empty() ? "" : " \\fI" + roff(option.value) + "\\fR";
}

std::string synopsis(const CommandText& command, const std::string& called) {
  std::string out = bold(called);
  if (!command.parts.empty()) out += " \\fICOMMAND\\fR";
  out += " [\\fIOPTIONS\\fR]";
  for (const OptionText& option : command.options) {
    if (!option.positional) continue;
    const std::string name = "\\fI" + roff(option.names.front()) + "\\fR";
    out += option.required ? ' ' + name : " [" + name + ']';
  }
  return out;
}

std::string options_section(const CommandText& command) {
  std::string arguments, options;
  for (const OptionText& option : command.options) {
    std::string names;
    for (const std::string& name : option.names) names += (names.empty() ? "" : ", ") + bold(name);
    std::string text = roff(option.help);
    if (!option.values.empty()) {
      text += "\n.br\nNames: ";
      for (const std::string& value : option.values) {
        text += (value == option.values.front() ? "" : ", ") + roff(value);
      }
    }
    (option.positional ? arguments : options) +=
        ".TP\n" + names + (option.positional ? "" : value_of(option)) + '\n' + text + '\n';
  }
  return (arguments.empty() ? "" : ".SH ARGUMENTS\n" + arguments) +
         (options.empty() ? "" : ".SH OPTIONS\n" + options);
}

// `called`: "v4cap trace"; parts are described on the page of what they are part of.
std::string part_sections(const CommandText& command, const std::string& called) {
  std::string out;
  for (const CommandText& part : command.parts) {
    const std::string name = called + ' ' + part.name;
    out += ".SH " + bold(name) + '\n' + roff(part.summary) + "\n.PP\n" + synopsis(part, name) +
           '\n' + options_section(part);
  }
  return out;
}

std::string head(const std::string& page, const std::string& summary, const std::string& program) {
  std::string title = page;
  std::ranges::transform(title, title.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return ".TH \"" + roff(title) + "\" 1 \"\" \"" + roff(program) + ' ' +
         roff(std::string(simulator_version())) + "\"\n.SH NAME\n" + roff(page) + " \\- " +
         roff(summary) + "\n.SH SYNOPSIS\n";
}

std::string footer(const CommandText& command) {
  if (command.footer.empty()) return "";
  return ".SH NOTES\n.nf\n" + roff(command.footer) + "\n.fi\n";
}

std::string program_page(const CommandText& program) {
  std::string out = head(program.name, program.summary, program.name);
  out += synopsis(program, program.name) + "\n.SH COMMANDS\n";
  for (const CommandText& command : program.parts) {
    out += ".TP\n" + bold(command.name) + '\n' + roff(command.summary) + '\n';
  }
  out += options_section(program) + footer(program) + ".SH \"SEE ALSO\"\n";
  for (const CommandText& command : program.parts) {
    out += ".BR " + roff(program.name + '-' + command.name) + " (1)" +
           (&command == &program.parts.back() ? "" : ",") + '\n';
  }
  return out;
}

std::string command_page(const CommandText& program, const CommandText& command) {
  const std::string called = program.name + ' ' + command.name;
  std::string out = head(program.name + '-' + command.name, command.summary, program.name);
  out += synopsis(command, called) + '\n';
  out += command.parts.empty() ? options_section(command) : part_sections(command, called);
  return out + footer(command) + ".SH \"SEE ALSO\"\n.BR " + roff(program.name) + " (1)\n";
}

class ManCommand final : public Command {
 public:
  std::string summary() const override { return "print manual pages, or write all of them"; }
  bool reads_scenario() const override { return false; }
  std::vector<std::string> values(std::string_view option) const override {
    return option == "COMMAND" ? CommandRegistry::names() : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    app.add_option("COMMAND", command_, "Command whose page is printed; default: the program's");
    app.add_option("--out", out_directory_, "Write every page into this directory instead");
    app.add_flag("--overwrite", overwrite_, "Replace pages that are there")
        ->disable_flag_override();
    app.footer("Example: v4cap man simulate | man -l -");
  }

  ExitCode run(CommandContext& context) override {
    const CommandText program = context.describe();
    if (out_directory_.empty()) {
      context.out << page(program);
      return ExitCode::done;
    }
    RunDirectory directory(out_directory_, overwrite_);
    std::vector<RunFile> files;
    const auto add = [&](const std::string& name, const std::string& text) {
      files.push_back({name + ".1", [text](const TextSink& sink) { sink(text); }});
    };
    add(program.name, program_page(program));
    for (const CommandText& command : program.parts) {
      add(program.name + '-' + command.name, command_page(program, command));
    }
    if (!context.options.dry_run) directory.write(files);
    return ExitCode::done;
  }

 private:
  std::string page(const CommandText& program) const {
    if (command_.empty()) return program_page(program);
    std::vector<std::string> names;
    for (const CommandText& command : program.parts) {
      if (command.name == command_) return command_page(program, command);
      names.push_back(command.name);
    }
    throw InputError(Place{"COMMAND"},
                     "unknown command '" + command_ + "'" + suggestion(command_, names));
  }

  std::string command_, out_directory_;
  bool overwrite_ = false;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "man", []() -> std::unique_ptr<Command> { return std::make_unique<ManCommand>(); });

}  // namespace

}  // namespace v4cap
