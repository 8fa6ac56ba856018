#include "sim/app/command_text.h"

#include <CLI/CLI.hpp>

#include "sim/app/command.h"

namespace v4cap {

namespace {

OptionText option_text(const CLI::Option& option, const Command* command) {
  OptionText text;
  text.positional = option.get_positional();
  if (text.positional) {
    text.names.push_back(option.get_name(true));
  } else {
    for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
    for (const std::string& name : option.get_snames()) text.names.push_back('-' + name);
  }
  if (option.get_type_size_max() > 0) text.value = option.get_type_name();
  text.help = option.get_description();
  text.required = option.get_required();
  if (command != nullptr) text.values = command->values(text.names.front());
  return text;
}

}  // namespace

CommandText command_text(const CLI::App& app, const Command* command) {
  CommandText text{app.get_name(), app.get_description(), app.get_footer(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) text.options.push_back(option_text(*option, command));
  }
  for (const CLI::App* part : app.get_subcommands([](const CLI::App*) { return true; })) {
    text.parts.push_back(command_text(*part, command));
  }
  return text;
}

}  // namespace v4cap
