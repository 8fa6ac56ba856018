// v4cap fit --samples FILE --out DIR: raw measurements become a profile. The file is JSON lines:
//   {"profile": {"name": .., "gpu": .., "engine": .., "engine_version": .., "device": ..,
//                "driver": .., "clocks": .., "date": .., "source": .., "licence": ..}}
//   {"family": {"name": .., "grain": "module", "engine": .., "engine_version": ..,
//               "kernel_source": .., "keys": [..], "axes": [{"name": .., "unit": ..}],
//               "covers": [..], "marks": [..], "note": .., "refused_rows": {reason: rows},
//               "tolerance_pct": 0.7}}
//   {"keys": [..], "samples": [[axis value, .., us], ..]}    any number, of the family above
// v4cap fit STEPS.jsonl: an engine's log of steps (sim/app/step_log.h) becomes a profile of one
// family `step`, by which a simulation times its steps (sim/cost/step_fit_cost.h). What it says of its
// deployment (--gpu, --model, --tp ..) a scenario on it must agree with.
//
// v4cap fit --transfer PROFILE.. --to HARDWARE: measured profiles become one of another GPU
// (sim/app/transfer_report.h).
//
// What is printed is the error of the code that will look the times up.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "sim/app/command.h"
#include "sim/app/step_log.h"
#include "sim/app/transfer_report.h"
#include "sim/config/data_files.h"
#include "sim/config/model_file.h"
#include "sim/config/profile_writer.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"
#include "sim/cost/profile_fit.h"
#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr double kUsMax = 1e12, kAxisMax = 1e15;

struct RawFamily {
  ProfileFamily family;
  double tolerance_pct = 0;
  std::vector<RawSeries> series;
};

struct RawProfile {
  Profile profile;
  std::vector<RawFamily> families;
};

std::string text_at(JsonValue object, const char* key) {
  const JsonValue value = object.at(key);
  const std::string text(value.string());
  if (text.empty() || text.find('\n') != std::string::npos) {
    value.fail(std::string(key) + ": expected one line of text");
  }
  return text;
}

std::vector<std::string> texts(JsonValue list) {
  std::vector<std::string> out;
  if (!list) return out;
  for (const JsonValue value : list.array()) out.emplace_back(value.string());
  return out;
}

void read_profile(JsonValue v, Profile& p) {
  p.name = text_at(v, "name");
  p.gpu = text_at(v, "gpu");
  p.engine = text_at(v, "engine");
  p.engine_version = text_at(v, "engine_version");
  p.device = text_at(v, "device");
  p.driver = text_at(v, "driver");
  p.clocks = text_at(v, "clocks");
  p.date = text_at(v, "date");
  p.source = text_at(v, "source");
  p.licence = text_at(v, "licence");
}

RawFamily read_family(JsonValue v) {
  RawFamily raw;
  ProfileFamily& f = raw.family;
  f.name = text_at(v, "name");
  const std::string grain = text_at(v, "grain");
  if (grain != "operator" && grain != "module") {
    v.at("grain").fail("grain: expected operator or module, got \"" + grain + '"');
  }
  f.grain = grain == "operator" ? ProfileGrain::kernel : ProfileGrain::module;
  f.engine = text_at(v, "engine");
  f.engine_version = text_at(v, "engine_version");
  f.kernel_source = text_at(v, "kernel_source");
  f.keys = texts(v.find("keys"));
  const JsonValue axes = v.at("axes");
  if (axes.size() < 1 || axes.size() > static_cast<std::int64_t>(kSampleAxesMax)) {
    axes.fail(fmt::format("axes: expected 1 to {} axes", kSampleAxesMax));
  }
  for (const JsonValue axis : axes.array()) {
    f.axes.push_back({text_at(axis, "name"), text_at(axis, "unit")});
  }
  f.covers = texts(v.find("covers"));
  f.marks = texts(v.find("marks"));
  if (const JsonValue note = v.find("note")) f.note = note.string();
  if (const JsonValue refused = v.find("refused_rows")) {
    for (const JsonValue count : refused.members()) {
      f.refused_rows[std::string(count.key())] =
          count.integer(1, std::numeric_limits<std::int32_t>::max());
    }
  }
  raw.tolerance_pct = v.at("tolerance_pct").number(0, 100);
  return raw;
}

RawSeries read_series(JsonValue v, const ProfileFamily& family) {
  RawSeries series;
  series.keys = texts(v.find("keys"));
  if (series.keys.size() != family.keys.size()) {
    v.fail(fmt::format("keys: expected {} values, got {}", family.keys.size(), series.keys.size()));
  }
  const std::size_t n = family.axes.size();
  for (const JsonValue row : v.at("samples").array()) {
    if (row.size() != static_cast<std::int64_t>(n) + 1) {
      row.fail(fmt::format("expected {} numbers (axis values, then us)", n + 1));
    }
    Sample sample;
    std::size_t i = 0;
    for (const JsonValue x : row.array()) {
      if (i < n) {
        sample.at[i] = x.number(0, kAxisMax);
      } else if (sample.us = x.number(0, kUsMax); sample.us <= 0) {
        x.fail("us: expected a time above 0");
      }
      ++i;
    }
    series.samples.push_back(sample);
  }
  if (series.samples.empty()) v.fail("samples: expected at least one");
  std::ranges::sort(series.samples, {}, &Sample::at);
  const auto twice = std::ranges::adjacent_find(series.samples, {}, &Sample::at);
  if (twice != series.samples.end()) {
    v.fail(fmt::format("samples: a point is there twice; its first value is {:g}", twice->at[0]));
  }
  return series;
}

RawProfile read_samples(const std::string& path) {
  TextFile file(path);
  JsonLine line;
  RawProfile out;
  while (file.next()) {
    const JsonValue v =
        parse_json_object(line, file.line(), file.place(), !file.line_is_terminated());
    if (const JsonValue profile = v.find("profile")) {
      read_profile(profile, out.profile);
    } else if (const JsonValue family = v.find("family")) {
      out.families.push_back(read_family(family));
    } else if (out.families.empty()) {
      v.fail("expected a line with 'family' before the first samples");
    } else {
      out.families.back().series.push_back(read_series(v, out.families.back().family));
    }
  }
  if (out.profile.name.empty()) {
    throw InputError(Place{path}, "expected a line with 'profile', got none");
  }
  if (out.families.empty()) {
    throw InputError(Place{path}, "expected a line with 'family', got none");
  }
  for (const RawFamily& raw : out.families) {
    if (raw.series.empty()) {
      throw InputError(Place{path}, "family " + raw.family.name + ": expected samples, got none");
    }
  }
  return out;
}

std::string axes_text(const FittedFamily& f) {
  std::string out;
  for (std::size_t i = 0; i < f.by_axis.size(); ++i) {
    const ProfileAxis& axis = f.family.axes[i];
    out += fmt::format("{}{} {} {:.1f}/{:.1f}", i == 0 ? "" : ", ", axis.name,
                       axis.interpolation == Interpolation::log ? "log" : "lin",
                       f.by_axis[i].median_pct, f.by_axis[i].p90_pct);
  }
  return out;
}

std::string text(const std::vector<FittedFamily>& families, const TextStyle& style) {
  Table table({"family", "median %", "p90 %", "worst %", "held out", "rows", "kept", "by axis"});
  for (const FittedFamily& f : families) {
    const HeldOutError& e = f.family.held_out;
    table.row({f.family.name, fmt::format("{:.2f}", e.median_pct), fmt::format("{:.2f}", e.p90_pct),
               fmt::format("{:.1f}", e.worst_pct), fmt::format("{}", e.samples),
               fmt::format("{}", f.family.rows), fmt::format("{}", f.kept), axes_text(f)});
  }
  std::string out = table.text(style);
  for (const FittedFamily& f : families) {
    for (const auto& [name, value] : f.family.coefficients) {
      out += fmt::format("{}: {} {:.6g}\n", f.family.name, name, value);
    }
  }
  return out;
}

void write_error(JsonWriter& json, const HeldOutError& e) {
  json.member("median_pct", e.median_pct).member("p90_pct", e.p90_pct);
  json.member("worst_pct", e.worst_pct).member("samples", e.samples);
}

std::string json(const std::vector<FittedFamily>& families) {
  JsonWriter json(2);
  json.begin_object().key("families").begin_array();
  for (const FittedFamily& f : families) {
    json.begin_object().member("name", f.family.name);
    write_error(json, f.family.held_out);
    json.member("rows", f.family.rows).member("kept", f.kept);
    if (!f.family.coefficients.empty()) {
      json.key("coefficients").begin_object();
      for (const auto& [name, value] : f.family.coefficients) json.member(name, value);
      json.end_object();
    }
    json.key("axes").begin_array();
    for (std::size_t i = 0; i < f.by_axis.size(); ++i) {
      const ProfileAxis& axis = f.family.axes[i];
      json.begin_object().member("name", axis.name);
      json.member("interpolation", axis.interpolation == Interpolation::log ? "log" : "linear");
      write_error(json, f.by_axis[i]);
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return json.text();
}

// Puts the files of profiles into a folder that may hold other ones.
class ProfileFolder {
 public:
  // Makes the folder, so that one that cannot be used costs no waiting.
  ProfileFolder(const std::string& path, bool overwrite)
      : directory_(path, true), overwrite_(overwrite) {}

  // Both files or none. Throws InputError for a profile of this name that is there, unless it is to
  // be replaced, and for a name that is none of a file.
  void write(const Profile& profile) {
    namespace fs = std::filesystem;
    if (profile.name.empty() || fs::path(profile.name).filename() != profile.name) {
      throw InputError(Place{"v4cap fit"},
                       "expected the name of a file for the profile, got " + shown(profile.name));
    }
    const std::string yaml = profile.name + ".yaml", csv = profile.name + ".csv";
    for (const std::string& file : {yaml, csv}) {
      const fs::path path = fs::path(directory_.path()) / file;
      std::error_code ignored;
      if (overwrite_ || !fs::exists(fs::symlink_status(path, ignored))) continue;
      throw InputError(Place{path.string()},
                       "the file exists; choose another name or pass --overwrite");
    }
    const ProfileText text = profile_text(profile);
    std::vector<RunFile> files{{yaml, [&](const TextSink& sink) { sink(text.yaml); }}};
    if (!text.csv.empty()) {
      files.push_back({csv, [&](const TextSink& sink) { sink(text.csv); }});
    }
    directory_.write(files, {csv});
  }

 private:
  RunDirectory directory_;
  bool overwrite_;
};

class FitCommand final : public Command {
 public:
  std::string summary() const override {
    return "make a measured profile of samples and say how well it predicts";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--to") return data_names(DataKind::hardware, "");
    if (option == "--model") return data_names(DataKind::model, "");
    if (option == "--transfer" || option == "--against") return data_names(DataKind::profile, "");
    return {};
  }

  void add_options(CLI::App& app) override {
    app.add_option("STEPS", steps_, "log of an engine's steps (JSON lines)");
    app.add_option("--samples", samples_, "raw measurements (JSON lines) instead");
    of_steps_ = {
        app.add_option("--name", name_, "name of the profile of STEPS (default steps)"),
        app.add_option("--gpu", gpu_, "GPU of STEPS, as hardware files name it"),
        app.add_option("--engine", engine_, "engine of STEPS"),
        app.add_option("--engine-version", engine_version_, "version of the engine of STEPS"),
        app.add_option("--model", model_, "model of STEPS: a name or a file"),
        app.add_option("--tp", deployment_.tensor_parallel, "GPUs of an attention rank of STEPS")
            ->check(CLI::Range(1, 4096)),
        app.add_option("--dp", deployment_.data_parallel, "attention ranks of STEPS")
            ->check(CLI::Range(1, 4096)),
        app.add_option("--ep", deployment_.expert_parallel, "GPUs that experts are spread over")
            ->check(CLI::Range(1, 4096)),
        app.add_option("--draft-tokens", deployment_.draft_tokens, "speculative tokens of a step")
            ->check(CLI::Range(0, 64)),
        app.add_option("--experts", experts_, "routed experts (default: the model's, or 384)")
            ->check(CLI::Range(1.0, 1e6)),
        app.add_option("--experts-per-token", per_token_,
                       "of them per token (default: the model's, or 6)")
            ->check(CLI::Range(0.0, 1e6))};
    app.add_option("--transfer", transfer_.donors,
                   "one or two profiles of an engine to transfer to another GPU instead, "
                   "the nearest first")
        ->expected(1, 2);
    app.add_option("--to", transfer_.target, "hardware to transfer to: a name or a file");
    app.add_option("--against", transfer_.measured, "measured profile to compare the result with");
    app.add_option("--out", out_, "folder for the profile; nothing is written without it");
    app.add_flag("--overwrite", overwrite_, "Replace a profile of this name in --out");
  }

  ExitCode run(CommandContext& context) override {
    const Place place{"v4cap fit"};
    const int given = !steps_.empty() + !samples_.empty() + !transfer_.donors.empty();
    if (given != 1) {
      throw InputError(place, "expected either STEPS, --samples or --transfer");
    }
    if (transfer_.donors.empty() != transfer_.target.empty()) {
      throw InputError(place, "expected --transfer and --to together");
    }
    if (transfer_.donors.empty() && !transfer_.measured.empty()) {
      throw InputError(place, "--against: expected together with --transfer");
    }
    if (steps_.empty()) {
      for (const CLI::Option* option : of_steps_) {
        if (option->count() == 0) continue;
        throw InputError(place, option->get_name() + ": expected together with STEPS");
      }
    }
    if (!steps_.empty() && !out_.empty() && gpu_.empty()) {
      throw InputError(place,
                       "--gpu: expected with STEPS and --out, as no scenario takes a profile "
                       "of a GPU that is not stated");
    }
    if (overwrite_ && out_.empty()) throw InputError(place, "--overwrite: expected with --out");
    std::optional<ProfileFolder> folder;
    if (!out_.empty()) folder.emplace(out_, overwrite_);
    if (!transfer_.donors.empty()) {
      const TransferReport report = transfer_report(transfer_);
      if (folder) folder->write(report.profile);
      context.out << (context.options.json ? transfer_json(report) + '\n'
                                           : transfer_text(report, style(context)));
      return ExitCode::done;
    }
    RawProfile raw = samples_.empty() ? fitted_steps() : read_samples(samples_);
    std::vector<FittedFamily> families;
    for (const ProfileFamily& step : raw.profile.families) families.push_back({step, {}, 0});
    for (RawFamily& one : raw.families) {
      families.push_back(fit_family(std::move(one.family), one.series, one.tolerance_pct));
      raw.profile.families.push_back(families.back().family);
    }
    if (folder) folder->write(raw.profile);
    if (context.options.json) {
      context.out << json(families) << '\n';
    } else {
      context.out << text(families, style(context));
    }
    if (!steps_.empty() && !out_.empty() && !context.options.quiet) {
      context.err << unstated(raw.profile.families.front().deployment);
    }
    return ExitCode::done;
  }

 private:
  static TextStyle style(const CommandContext& context) {
    return text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
  }

  // What STEPS are of, and how many experts its tokens choose from.
  ExpertShape expert_shape(StepDeployment& deployment) const {
    ExpertShape shape;
    if (!model_.empty()) {
      const ModelSpec model = load_model(model_).spec;
      deployment.model = model.name;
      // Without experts a step touches all of its weights, whatever its tokens.
      const double routed = static_cast<double>(model.moe.routed_experts);
      shape = routed > 0 ? ExpertShape{routed, static_cast<double>(model.moe.active_experts)}
                         : ExpertShape{1, 1};
    }
    shape.experts = experts_.value_or(shape.experts);
    shape.per_token = per_token_.value_or(shape.per_token);
    if (shape.per_token > shape.experts) {
      throw InputError(Place{"v4cap fit"}, "--experts-per-token: expected at most --experts");
    }
    return shape;
  }

  // What a simulation cannot compare with its scenario, "" when it is nothing.
  static std::string unstated(const StepDeployment& stated) {
    std::vector<const char*> options;
    if (stated.model.empty()) options.push_back("--model");
    if (!stated.tensor_parallel) options.push_back("--tp");
    if (!stated.data_parallel) options.push_back("--dp");
    if (!stated.expert_parallel) options.push_back("--ep");
    if (!stated.draft_tokens) options.push_back("--draft-tokens");
    if (options.empty()) return "";
    return fmt::format("not stated, and so not compared with a scenario: {}\n",
                       fmt::join(options, ", "));
  }

  RawProfile fitted_steps() const {
    StepDeployment deployment = deployment_;
    const ExpertShape shape = expert_shape(deployment);
    const std::vector<StepRecord> steps = read_step_log(steps_);
    const StepValues c = fit_steps(steps, shape);
    ProfileFamily family;
    family.name = "step";
    family.grain = ProfileGrain::step;
    family.engine = engine_;
    family.engine_version = engine_version_;
    family.kernel_source = "whole steps";
    family.rows = static_cast<std::int64_t>(steps.size());
    family.held_out = held_out_steps(steps, shape);
    for (std::size_t i = 0; i < c.size(); ++i) family.coefficients[kStepFeatures[i]] = c[i];
    family.coefficients["experts"] = shape.experts;
    family.coefficients["experts_per_token"] = shape.per_token;
    const StepSizes largest = largest_sizes(steps);
    for (std::size_t i = 0; i < largest.size(); ++i) family.largest[kStepSizes[i]] = largest[i];
    family.deployment = std::move(deployment);
    const std::string unknown = "not recorded";
    RawProfile out;
    out.profile = {name_,
                   "",
                   gpu_.empty() ? unknown : gpu_,
                   engine_,
                   engine_version_,
                   unknown,
                   unknown,
                   unknown,
                   unknown,
                   "log of steps",
                   unknown,
                   {},
                   {}};
    out.profile.families.push_back(std::move(family));
    return out;
  }

  std::string steps_, name_ = "steps", gpu_, engine_ = "not recorded",
                      engine_version_ = "not recorded";
  std::string model_;
  StepDeployment deployment_;
  std::optional<double> experts_, per_token_;
  std::vector<const CLI::Option*> of_steps_;
  std::string samples_, out_;
  bool overwrite_ = false;
  TransferQuestion transfer_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "fit", []() -> std::unique_ptr<Command> { return std::make_unique<FitCommand>(); });

}  // namespace

}  // namespace v4cap
