// v4cap schema [KIND]: what an editor needs to complete and check keys of a file.
#include <CLI/CLI.hpp>

#include "sim/app/command.h"
#include "sim/output/json_schema.h"

namespace v4cap {

namespace {

class SchemaCommand final : public Command {
 public:
  std::string summary() const override {
    return "print the JSON Schema that editors complete a file's keys by";
  }
  bool reads_scenario() const override { return false; }
  std::vector<std::string> values(std::string_view option) const override {
    return option == "KIND" ? FileKinds::names() : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    std::string kinds;
    for (const std::string& name : FileKinds::names()) {
      kinds += (kinds.empty() ? "" : ", ") + name + " (" + FileKinds::find(name)->meaning + ')';
    }
    app.add_option("KIND", kind_, "Kind of file: " + kinds)->capture_default_str();
    app.footer(
        "Example: v4cap schema > scenario.schema.json, then in the first line of a scenario\n"
        "# yaml-language-server: $schema=scenario.schema.json");
  }

  ExitCode run(CommandContext& context) override {
    const FileKind* kind = FileKinds::find(kind_);
    if (kind == nullptr) {
      throw InputError(Place{"v4cap schema"}, "unknown kind of file '" + kind_ + "'" +
                                                  suggestion(kind_, FileKinds::names()));
    }
    context.out << json_schema(kind_, *kind);
    return ExitCode::done;
  }

 private:
  std::string kind_ = "scenario";
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "schema", []() -> std::unique_ptr<Command> { return std::make_unique<SchemaCommand>(); });

}  // namespace

}  // namespace v4cap
