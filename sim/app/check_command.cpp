// v4cap check SCENARIO...: everything that can be said about scenarios without running them.
#include <CLI/CLI.hpp>

#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

class CheckCommand final : public Command {
 public:
  std::string summary() const override {
    return "validate scenarios; one alone is printed with every default filled in";
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", files_, "Scenario files (YAML)")->required();
  }

  ExitCode run(CommandContext& context) override {
    std::vector<Diagnostic> errors;
    std::vector<std::string> documents;
    for (const std::string& file : files_) {
      try {
        const Scenario scenario = checked(file, context);
        documents.push_back(accepted(file, scenario));
        if (!context.options.json && files_.size() == 1) context.out << scenario.resolved_yaml;
        if (!context.options.json && !context.options.quiet) context.err << file << ": ok\n";
      } catch (const InputError& e) {
        documents.push_back(refused(file, e));
        errors.insert(errors.end(), e.diagnostics().begin(), e.diagnostics().end());
      }
    }
    if (context.options.json) {
      context.out << (files_.size() == 1 ? documents.front() : listed(documents, errors.empty()))
                  << '\n';
      context.answered = true;
    }
    if (!errors.empty()) throw InputError(std::move(errors));
    return ExitCode::done;
  }

 private:
  // Everything that is wrong, at once: what follows from the names that a scenario uses is checked
  // once all of them are known, each check whatever the others find.
  static Scenario checked(const std::string& file, const CommandContext& context) {
    const ScenarioOptions options = scenario_options(context.options);
    Scenario scenario = load_named_scenario(file, options);
    std::vector<Diagnostic> errors;
    const auto collect = [&](const auto& check) {
      try {
        check();
      } catch (const InputError& e) {
        errors.insert(errors.end(), e.diagnostics().begin(), e.diagnostics().end());
      }
    };
    collect([&] { check_expectations(scenario, scenario_loader(file, options)); });
    // Policy and layout say themselves what they cannot take. How much memory there is does not
    // matter here: whether it is enough is for `capacity` to say.
    collect([&] { make_cache_parts(scenario, Bytes{std::int64_t{1} << 50}); });
    // A profile's tables are read, so that a broken one is known before the run.
    collect([&] { make_cost(scenario); });
    if (!errors.empty()) throw InputError(std::move(errors));
    return scenario;
  }

  static std::string listed(const std::vector<std::string>& documents, bool ok) {
    std::string text = std::string("{\"ok\":") + (ok ? "true" : "false") + ",\"scenarios\":[";
    for (std::size_t i = 0; i < documents.size(); ++i) text += (i == 0 ? "" : ",") + documents[i];
    return text + "]}";
  }

  static std::string accepted(const std::string& file, const Scenario& scenario) {
    JsonWriter json;
    json.begin_object().member("ok", true).member("scenario", file);
    json.member("resolved", scenario.resolved_yaml).end_object();
    return json.text();
  }

  static std::string refused(const std::string& file, const InputError& error) {
    JsonWriter json;
    json.begin_object().member("ok", false).member("scenario", file);
    json.key("errors").begin_array();
    for (const Diagnostic& d : error.diagnostics()) {
      json.begin_object().member("file", d.place.file).member("line", d.place.line);
      json.member("column", d.place.column).member("message", d.message).end_object();
    }
    json.end_array();
    json.key("error").begin_object().member("kind", error.kind());
    json.member("message", error.what()).end_object().end_object();
    return json.text();
  }

  std::vector<std::string> files_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "check", []() -> std::unique_ptr<Command> { return std::make_unique<CheckCommand>(); });

}  // namespace

}  // namespace v4cap
