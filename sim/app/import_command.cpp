// v4cap import [FILE|-]: an engine's launch command, and its start-up log if there is one, as a
// scenario, with what it means: memory, pools, whether it fits, what is not modelled, and how far
// the log is from us.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "sim/app/command.h"
#include "sim/app/scenario_options.h"
#include "sim/config/data_files.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/launch_report.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr std::size_t kLogBytesMax = std::size_t{64} << 20;

// Commands and logs are read whole; a log may be longer than a YAML file is allowed to be.
std::string read_stream(std::istream& in, const std::string& label) {
  std::string text;
  char buffer[1 << 16];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLogBytesMax) {
      throw InputError(Place{label, 0, 0}, "expected at most 64 MiB");
    }
  }
  return text;
}

SourceText read_source(const std::string& path) {
  if (path == "-") return {read_stream(std::cin, "<stdin>"), "<stdin>", ""};
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path, ignored)) {
    throw InputError(Place{path, 0, 0}, "expected a file that can be read");
  }
  return {read_stream(in, path), path, std::filesystem::path(path).parent_path().string()};
}

std::string shown_place(const Place& place) {
  return to_string({place, ""});
}

std::string percent(std::optional<double> difference) {
  return difference ? fmt::format("{:+.2f} %", *difference) : "-";
}

// "7,705.45", "852,992", "6.16"
std::string figure_text(double value) {
  return value == static_cast<double>(static_cast<std::int64_t>(value)) ? grouped(value, 0)
                                                                        : grouped(value, 2);
}

std::string stated_text(const LogFact& fact) {
  std::string text = figure_text(fact.low);
  if (fact.high != fact.low) text += " to " + figure_text(fact.high);
  if (fact.ranks > 1) text += fmt::format(" ({} ranks)", fact.ranks);
  return text;
}

// Everything of the command that the scenario does not hold.
std::vector<Omission> left_out(const ImportedLaunch& launch) {
  std::vector<Omission> out = launch.draft.omissions();
  for (const FlagUse& use : launch.flags.uses) {
    if (use.flag->effect == FlagEffect::not_modelled) {
      out.push_back({use.quoted(), use.flag->note, use.place});
    }
  }
  for (const VariableReport& v : launch.variables) {
    if (v.effect == FlagEffect::not_modelled) {
      out.push_back({v.use.name + '=' + v.use.value,
                     v.known ? v.note : "a variable that v4cap does not know", v.use.place});
    }
  }
  return out;
}

// The report as text. Every part is a paragraph of its own; empty parts are left out.
class Report {
 public:
  Report(const ImportedLaunch& launch, const LaunchReport& report, TextStyle style)
      : launch_(launch), report_(report), style_(style) {}

  std::string text() const {
    std::string out = verdict();
    out += memory();
    out += pools();
    out += defaults();
    out += omissions();
    out += unknown();
    out += log_checks();
    for (const std::string& note : launch_.draft.notes()) out += '\n' + wrapped(note, 100) + '\n';
    return out;
  }

 private:
  const Scenario& scenario() const { return launch_.scenario; }

  std::string verdict() const {
    const Deployment& d = scenario().deployment;
    std::string out = style_.heading(
        fmt::format("{} on {}: {} GPUs, tensor_parallel {}, data_parallel {}, expert_parallel {}",
                    scenario().model.name, scenario().hardware.name, d.gpus(), d.tensor_parallel,
                    d.data_parallel, d.expert_parallel));
    out += '\n';
    const std::string condition = open_condition();
    if (!report_.misfit.empty()) {
      return out + "Does not fit" + condition + ": " + report_.misfit + '\n' +
             (launch_.log.empty() ? "Weights and buffers are estimates, good to a few GiB; a "
                                    "start-up log (--log) says more.\n"
                                  : "");
    }
    out += "Fits" + condition + ". Decoding at once on one rank, as far as memory goes:";
    for (const RunningAt& at : report_.running) {
      out += fmt::format("{} {}{} of {} tokens", &at == &report_.running.front() ? "" : ",",
                         grouped(at.requests), &at == &report_.running.front() ? " requests" : "",
                         grouped(at.length.value));
    }
    return out + fmt::format(".\nThe engine runs at most {} on one rank, {} in all.\n",
                             grouped(report_.running_cap),
                             grouped(report_.running_cap * d.data_parallel));
  }

  // " if -tp is 1, which the text does not say": what the verdict rests on beside the command.
  std::string open_condition() const {
    std::string out;
    for (const OpenFlag& flag : launch_.draft.open_flags()) {
      out += (out.empty() ? " if " : " and ") + flag.written + " is " +
             (flag.assumed.empty() ? "left to the engine" : flag.assumed);
    }
    return out.empty() ? "" : out + ", which the text does not say";
  }

  std::string memory() const {
    if (!report_.memory) {
      if (!report_.misfit.empty()) return "";
      return fmt::format("\nKV memory of one GPU: {:.2f} GiB, as the command says\n",
                         to_gib(report_.kv_memory));
    }
    const NodeMemory& m = *report_.memory;
    Table table({"memory of one GPU", "GiB"});
    const auto row = [&](const std::string& name, Bytes bytes) {
      table.row({name, fmt::format("{:.2f}", to_gib(bytes))});
    };
    row("GPU", m.memory);
    for (const MemoryItem& item : m.items) row("- " + item.name, item.bytes);
    row("= KV cache", m.kv);
    return '\n' + table.text(style_);
  }

  std::string pools() const {
    if (report_.figures.empty()) return "";
    Table table({"as the engine sizes its pools", "value", "unit"});
    for (const LogFigure& f : report_.figures) {
      table.row({f.label, figure_text(f.value), f.unit});
    }
    return '\n' + table.text(style_);
  }

  std::string defaults() const {
    std::string out;
    for (const DraftLine& line : launch_.draft.lines()) {
      if (line.origin == Origin::command || line.origin == Origin::user) continue;
      out += fmt::format("  {}: {}  ({}{}{})\n", line.path, line.value, name_of(line.origin),
                         line.reason.empty() ? "" : ": ", line.reason);
    }
    return out.empty() ? "" : "\n" + style_.heading("Not in the command, filled in") + '\n' + out;
  }

  // Flags with the same reason share a line.
  std::string omissions() const {
    std::vector<std::pair<std::string, std::string>> by_reason;
    for (const Omission& o : left_out(launch_)) {
      const auto same =
          std::ranges::find(by_reason, o.what, &std::pair<std::string, std::string>::first);
      if (same == by_reason.end()) {
        by_reason.emplace_back(o.what, o.flag);
      } else {
        same->second += ", " + o.flag;
      }
    }
    std::string out;
    for (const auto& [reason, flags] : by_reason) {
      out += fmt::format("  {}: {}\n", reason, flags);
    }
    return out.empty() ? "" : "\n" + style_.heading("In the command, not modelled") + '\n' + out;
  }

  std::string unknown() const {
    std::string out;
    for (const UnknownFlag& f : launch_.flags.unknown) {
      out += fmt::format("  {}{}{}\n", shown_place(f.place), f.written,
                         f.nearest.empty() ? "" : "; did you mean '" + f.nearest + "'?");
    }
    return out.empty() ? "" : "\n" + style_.heading("Unknown flags") + '\n' + out;
  }

  std::string log_checks() const {
    if (report_.log_checks.empty()) return "";
    Table table({"log", "figure", "stated", "ours", "difference", "ours with its KV memory",
                 "difference "});
    for (const LogCheck& c : report_.log_checks) {
      const auto shown = [](const std::optional<double>& value) {
        return value ? figure_text(*value) : std::string("-");
      };
      table.row({fmt::format("line {}", c.stated.place.line),
                 std::string(name_of(c.stated.quantity)), stated_text(c.stated), shown(c.ours),
                 percent(difference_percent(c.stated, c.ours)), shown(c.ours_with_stated_memory),
                 percent(difference_percent(c.stated, c.ours_with_stated_memory))});
    }
    return '\n' + table.text(style_);
  }

  const ImportedLaunch& launch_;
  const LaunchReport& report_;
  TextStyle style_;
};

class ImportJson {
 public:
  ImportJson(const ImportedLaunch& launch, const LaunchReport& report)
      : launch_(launch), report_(report) {}

  std::string text() {
    json_.begin_object().member("engine", launch_.engine).member("version", launch_.version);
    json_.member("checkpoint", launch_.checkpoint).member("scenario", launch_.yaml);
    json_.member("fits", report_.misfit.empty()).member("misfit", report_.misfit);
    json_.member("kv_gib_per_gpu", to_gib(report_.kv_memory));
    json_.member("max_running", report_.running_cap);
    memory();
    open_flags();
    figures();
    lines();
    omissions();
    unknown_flags();
    log_checks();
    json_.end_object();
    return json_.text();
  }

 private:
  void memory() {
    if (!report_.memory) return;
    const NodeMemory& m = *report_.memory;
    json_.key("memory_gib").begin_object();
    json_.member("gpu", to_gib(m.memory)).member("usable", to_gib(m.usable));
    json_.member("weights", to_gib(m.weights)).member("reserve", to_gib(m.reserve));
    json_.member("kv", to_gib(m.kv)).end_object();
    json_.key("memory_items").begin_array();
    for (const MemoryItem& item : m.items) {
      json_.begin_object().member("name", item.name).member("gib", to_gib(item.bytes));
      json_.member("source", item.source).end_object();
    }
    json_.end_array();
  }

  // `fits` holds only if these are what we took for them.
  void open_flags() {
    json_.key("open_flags").begin_array();
    for (const OpenFlag& flag : launch_.draft.open_flags()) {
      json_.begin_object().member("flag", flag.written).member("path", flag.path);
      json_.member("assumed", flag.assumed).end_object();
    }
    json_.end_array();
  }

  void figures() {
    json_.key("figures").begin_array();
    for (const LogFigure& f : report_.figures) {
      json_.begin_object().member("figure", f.key).member("label", f.label);
      json_.member("value", f.value).member("unit", f.unit).end_object();
    }
    json_.end_array();
  }

  void place(const Place& place) {
    json_.member("file", place.file).member("line", place.line).member("column", place.column);
  }

  void lines() {
    json_.key("lines").begin_array();
    for (const DraftLine& line : launch_.draft.lines()) {
      json_.begin_object().member("path", line.path).member("value", line.value);
      json_.member("origin", name_of(line.origin)).member("reason", line.reason).end_object();
    }
    json_.end_array();
  }

  void omissions() {
    json_.key("not_modelled").begin_array();
    for (const Omission& o : left_out(launch_)) {
      json_.begin_object().member("flag", o.flag).member("what", o.what);
      place(o.place);
      json_.end_object();
    }
    json_.end_array();
  }

  void unknown_flags() {
    json_.key("unknown_flags").begin_array();
    for (const UnknownFlag& f : launch_.flags.unknown) {
      json_.begin_object().member("flag", f.written).member("nearest", f.nearest);
      place(f.place);
      json_.end_object();
    }
    json_.end_array();
  }

  void log_checks() {
    json_.key("log_checks").begin_array();
    for (const LogCheck& c : report_.log_checks) {
      json_.begin_object().member("figure", name_of(c.stated.quantity));
      json_.member("line", c.stated.place.line).member("ranks", c.stated.ranks);
      json_.member("stated", c.stated.low).member("stated_max", c.stated.high);
      json_.member("ours", c.ours).member("error_pct", difference_percent(c.stated, c.ours));
      json_.member("ours_with_stated_memory", c.ours_with_stated_memory);
      json_.member("error_with_stated_memory_pct",
                   difference_percent(c.stated, c.ours_with_stated_memory));
      json_.end_object();
    }
    json_.end_array();
  }

  const ImportedLaunch& launch_;
  const LaunchReport& report_;
  JsonWriter json_{2};
};

// The report under a scenario, as comments, so that both together are a scenario file.
std::string as_comments(const std::string& text) {
  std::string out = "\n";
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    out += line.empty() ? "#\n" : "# " + line + '\n';
  return out;
}

class ImportCommand final : public Command {
 public:
  std::string summary() const override {
    return "turn an engine's launch command and log into a scenario and say whether it fits";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--hardware") return data_names(DataKind::hardware, "");
    if (option == "--model") return data_names(DataKind::model, "");
    return {};
  }

  void add_options(CLI::App& app) override {
    app.add_option("FILE", file_, "shell text with the launch command; - reads standard input");
    app.add_option("--command", command_, "the launch command itself")->type_name("TEXT");
    app.add_option("--log", log_, "the engine's start-up log, to compare with")->type_name("FILE");
    app.add_option("--hardware", hardware_, "node that it runs on (default: hgx-b200)");
    app.add_option("--model", model_, "of scenarios/models (default: told from the command)");
    app.add_option("--engine-version", version_,
                   "release or date of the engine (default: told from the log, else the newest)");
    app.add_option("--out", out_, "writes the scenario there and prints the report alone")
        ->type_name("FILE");
    app.add_flag("--overwrite", overwrite_, "replaces the file of --out")->disable_flag_override();
  }

  ExitCode run(CommandContext& context) override {
    const ImportedLaunch launch = import_launch(request(context));
    const LaunchReport report = report_launch(launch);
    warn(launch, context);
    if (!out_.empty() && !context.options.dry_run) write(launch.yaml);
    if (context.options.json) {
      context.out << ImportJson(launch, report).text() << '\n';
    } else {
      print(launch, report, context);
    }
    return report.misfit.empty() ? ExitCode::done : ExitCode::failed;
  }

 private:
  ImportRequest request(const CommandContext& context) const {
    if (file_.empty() == command_.empty()) {
      throw InputError(Place{"v4cap import", 0, 0},
                       "expected either a FILE (- for standard input) or --command");
    }
    ImportRequest request;
    request.command = command_.empty() ? read_source(file_) : SourceText{command_, "--command", ""};
    if (!log_.empty()) request.log = read_source(log_);
    request.hardware = hardware_;
    request.model = model_;
    request.version = version_;
    request.options = scenario_options(context.options);
    return request;
  }

  static void warn(const ImportedLaunch& launch, CommandContext& context) {
    if (context.options.quiet) return;
    for (const UnknownFlag& f : launch.flags.unknown) {
      context.err << shown_place(f.place) << "unknown flag " << shown(f.written)
                  << (f.nearest.empty() ? "" : "; did you mean '" + f.nearest + "'?") << '\n';
    }
  }

  void write(const std::string& yaml) const {
    std::error_code ignored;
    if (!overwrite_ && std::filesystem::exists(out_, ignored)) {
      throw InputError(Place{out_, 0, 0}, "the file is there already; --overwrite replaces it");
    }
    std::ofstream out(out_, std::ios::binary | std::ios::trunc);
    out << yaml;
    out.flush();
    if (!out) throw RunError("cannot write " + out_);
  }

  void print(const ImportedLaunch& launch, const LaunchReport& report,
             CommandContext& context) const {
    const bool alone = !out_.empty();
    const TextStyle style = text_style(context.out_is_terminal && alone, context.options.no_color,
                                       std::getenv("NO_COLOR"));
    const std::string text = Report(launch, report, style).text();
    context.out << (alone ? text : launch.yaml + as_comments(text));
  }

  std::string file_, command_, log_, hardware_, model_, version_, out_;
  bool overwrite_ = false;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "import", []() -> std::unique_ptr<Command> { return std::make_unique<ImportCommand>(); });

}  // namespace

}  // namespace v4cap
