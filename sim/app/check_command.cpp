// v4cap check SCENARIO: everything that can be said about a scenario without running it.
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
    return "validate a scenario and print it with every default filled in";
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", file_, "scenario file (YAML)")->required();
  }

  ExitCode run(CommandContext& context) override {
    try {
      const Scenario scenario = load_checked_scenario(file_, scenario_options(context.options));
      // Policy and layout say themselves what they cannot take. How much memory there is does not
      // matter here: whether it is enough is for `capacity` to say.
      make_cache_parts(scenario, Bytes{std::int64_t{1} << 50});
      // A profile's tables are read, so that a broken one is known before the run.
      make_cost(scenario);
      if (context.options.json) {
        context.out << accepted(scenario) << '\n';
      } else {
        context.out << scenario.resolved_yaml;
        if (!context.options.quiet) context.err << file_ << ": ok\n";
      }
    } catch (const InputError& e) {
      if (context.options.json) {
        context.out << refused(e) << '\n';
        context.answered = true;
      }
      throw;
    }
    return ExitCode::done;
  }

 private:
  std::string accepted(const Scenario& scenario) const {
    JsonWriter json;
    json.begin_object().member("ok", true).member("scenario", file_);
    json.member("resolved", scenario.resolved_yaml).end_object();
    return json.text();
  }

  std::string refused(const InputError& error) const {
    JsonWriter json;
    json.begin_object().member("ok", false).member("scenario", file_);
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

  std::string file_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "check", []() -> std::unique_ptr<Command> { return std::make_unique<CheckCommand>(); });

}  // namespace

}  // namespace v4cap
