// `v4cap report DIR... --out FILE.html`: runs, comparisons and exports of sweeps as one HTML file that
// needs no network, and in a few lines on the terminal.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "sim/app/command.h"
#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/report/perfetto.h"
#include "sim/report/report_lines.h"
#include "sim/report/report_page.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

class ReportCommand final : public Command {
 public:
  std::string summary() const override {
    return "one offline HTML file that shows a run, several runs or a sweep";
  }
  bool reads_scenario() const override { return false; }

  void add_options(CLI::App& app) override {
    app.add_option(
           "DIR", paths_,
           "Directories of runs (or one that holds several, as --compare --out writes), a "
           "directory with compare.json, what plan --out writes, or a sweep's export (.csv, "
           ".jsonl)")
        ->required();
    app.add_option("--out", out_, "The HTML file to be written")->type_name("FILE.html");
    app.add_option(
           "--measured", measured_,
           "Lay a measured run over the charts: anything that `v4cap compare` reads; may be "
           "repeated")
        ->allow_extra_args(false);
    app.add_option("--perfetto", window_,
                   "Write this window of the run beside FILE.html too, as FILE.perfetto.json")
        ->type_name("FROM..TO");
    app.add_flag("--overwrite", overwrite_, "Replace the files of an earlier report");
  }

  ExitCode run(CommandContext& context) override {
    if (out_.empty() && !window_.empty()) {
      throw InputError(Place{"--perfetto"}, "expected --out FILE.html with it");
    }
    const fs::path file(out_);
    if (!out_.empty()) check_free(file);
    Report report = read_report(paths_);
    for (const std::string& path : measured_) add_measured(report, path);
    std::vector<RunFile> files;
    if (!out_.empty()) {
      files.push_back({file.filename().string(),
                       [&, page = report_page(report)](const TextSink& sink) { sink(page); }});
    }
    if (!window_.empty()) files.push_back(trace_file(report, file));
    if (!context.options.dry_run) write(file, files, context);
    print(report, context);
    return ExitCode::done;
  }

 private:
  static fs::path trace_path(fs::path file) { return file.replace_extension(".perfetto.json"); }

  void check_free(const fs::path& file) const {
    if (!file.has_filename() || fs::is_directory(file)) {
      throw InputError(Place{out_}, "expected the name of a file for --out, found a directory");
    }
    std::vector<fs::path> written{file};
    if (!window_.empty()) written.push_back(trace_path(file));
    for (const fs::path& path : written) {
      if (overwrite_ || !fs::exists(path)) continue;
      throw InputError(Place{path.string()},
                       "the file exists; name another one, or give --overwrite");
    }
  }

  RunFile trace_file(const Report& report, const fs::path& file) const {
    if (report.runs.size() != 1) {
      throw InputError(Place{"--perfetto"},
                       "expected one run, found " + std::to_string(report.runs.size()));
    }
    return {trace_path(file).filename().string(),
            [trace = perfetto_trace(report.runs.front(), parse_window(window_))](
                const TextSink& sink) { sink(trace); }};
  }

  static void write(const fs::path& file, const std::vector<RunFile>& files,
                    CommandContext& context) {
    if (files.empty()) return;
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    // Each file is whole or not there, and nothing else of the folder is touched.
    RunDirectory directory(folder.string(), true, Writers::many);
    directory.write(files);
    if (context.options.quiet) return;
    for (const RunFile& written : files) {
      context.err << "wrote " << (folder / written.name).lexically_normal().string() << '\n';
    }
  }

  void print(const Report& report, CommandContext& context) const {
    if (!context.options.json) {
      context.out << occupancy_lines(report.runs) << pareto_chart(pareto_points(report));
      return;
    }
    JsonWriter json(2);
    json.begin_object();
    if (out_.empty() || context.options.dry_run) {
      json.member("path", nullptr).member("bytes", nullptr);
    } else {
      json.member("path", out_).member("bytes", static_cast<std::int64_t>(fs::file_size(out_)));
    }
    json.member("perfetto", window_.empty() || context.options.dry_run
                                ? std::optional<std::string>{}
                                : trace_path(out_).string());
    json.key("runs").begin_array();
    for (const ReportRun& run : report.runs) {
      json.begin_object().member("label", run.label).member("path", run.path);
      json.member("steady_state", run.steady.holds).member("why", run.steady.why).end_object();
    }
    json.end_array();
    json.member("comparisons", report.comparisons.size()).member("sweeps", report.sweeps.size());
    json.end_object();
    context.out << json.text() << '\n';
  }

  std::vector<std::string> paths_, measured_;
  std::string out_, window_;
  bool overwrite_ = false;
};

const bool registered = CommandRegistry::add(
    "report", []() -> std::unique_ptr<Command> { return std::make_unique<ReportCommand>(); });

}  // namespace

}  // namespace v4cap
