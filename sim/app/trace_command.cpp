// v4cap trace: what a trace is (info), a trace in v4cap's own format (convert), a made-up one
// (synth).
#include "sim/app/trace_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>

#include "sim/core/json.h"
#include "traces/generate.h"
#include "traces/native.h"
#include "traces/reader.h"

namespace v4cap {

namespace {

// 12345 -> "12,345".
std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string lengths_row(const char* name, const Distribution& d) {
  return fmt::format("  {:<15} {:>10} {:>10} {:>10} {:>10} {:>10}\n", name, grouped(d.p50),
                     grouped(d.p90), grouped(d.p99), grouped(d.max), grouped(d.mean));
}

std::string times_row(const char* name, const Distribution& d) {
  return fmt::format("  {:<15} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}\n", name, d.p50,
                     d.p90, d.p99, d.max, d.mean);
}

std::string json_distribution(const Distribution& d) {
  return fmt::format(R"({{"p50":{},"p90":{},"p99":{},"max":{},"mean":{}}})", d.p50, d.p90, d.p99,
                     d.max, d.mean);
}

std::string json_notes(const std::vector<std::string>& notes) {
  std::string text = "[";
  for (const std::string& note : notes) text += (text.size() > 1 ? "," : "") + json_quoted(note);
  return text + "]";
}

std::string arrivals_text(const TraceSummary& s) {
  if (!s.has_arrivals) return "none recorded";
  const ArrivalSummary& a = s.arrivals;
  return fmt::format("{:.2f} {}/s over {:.0f} s, busiest minute {:.2f}/s, gap CV {:.2f}",
                     a.mean_per_s, a.count == s.requests ? "requests" : "sessions", a.span_s,
                     a.busiest_minute_per_s, a.gap_cv);
}

}  // namespace

std::string trace_info_text(const Trace& trace) {
  const TraceSummary s = summarize(trace);
  std::string text = fmt::format("{} ({})\n", trace.name, trace.format);
  text += fmt::format("  {:<15} {}", "requests", grouped(static_cast<double>(s.requests)));
  if (s.sessions > 0)
    text += fmt::format(" in {} sessions", grouped(static_cast<double>(s.sessions)));
  if (s.groups > 0) text += fmt::format(", {} groups", grouped(static_cast<double>(s.groups)));
  text += fmt::format("\n  {:<15} {}\n", "arrivals", arrivals_text(s));
  if (s.has_ids) {
    text += fmt::format("  {:<15} {} tokens\n", "blocks", s.block.value);
    text +=
        fmt::format("  {:<15} {:.1f} %, with reuse of generated tokens {:.1f} %\n",
                    "ideal hit rate", 100 * s.ideal_hit_rate, 100 * s.ideal_hit_rate_with_output);
  } else {
    text += fmt::format("  {:<15} none recorded, so no hit rate\n", "blocks");
  }
  text += fmt::format("\n  {:<15} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "", "p50", "p90", "p99",
                      "max", "mean");
  text +=
      lengths_row("prompt tokens", s.prompt_tokens) + lengths_row("output tokens", s.output_tokens);
  if (s.turns_per_session.count > 0) text += lengths_row("turns", s.turns_per_session);
  if (s.think_s.count > 0) text += times_row("think time, s", s.think_s);
  if (!trace.notes.empty()) text += "\n";
  for (const std::string& note : trace.notes) text += "  note: " + note + "\n";
  return text;
}

std::string trace_info_json(const Trace& trace) {
  const TraceSummary s = summarize(trace);
  const auto rate = [&](double value) { return s.has_ids ? fmt::format("{}", value) : "null"; };
  std::string text = fmt::format(
      R"({{"name":{},"format":{},"requests":{},"sessions":{},"groups":{},"block_tokens":{},)",
      json_quoted(trace.name), json_quoted(trace.format), s.requests, s.sessions, s.groups,
      s.block.value);
  text += fmt::format(R"("ideal_hit_rate":{},"ideal_hit_rate_with_output":{},)",
                      rate(s.ideal_hit_rate), rate(s.ideal_hit_rate_with_output));
  text +=
      fmt::format(R"("prompt_tokens":{},"output_tokens":{},"turns_per_session":{},"think_s":{},)",
                  json_distribution(s.prompt_tokens), json_distribution(s.output_tokens),
                  json_distribution(s.turns_per_session), json_distribution(s.think_s));
  if (s.has_arrivals) {
    const ArrivalSummary& a = s.arrivals;
    text += fmt::format(
        R"("arrivals":{{"count":{},"span_s":{},"mean_per_s":{},"busiest_minute_per_s":{},"gap_cv":{}}},)",
        a.count, a.span_s, a.mean_per_s, a.busiest_minute_per_s, a.gap_cv);
  } else {
    text += R"("arrivals":null,)";
  }
  return text + "\"notes\":" + json_notes(trace.notes) + "}\n";
}

std::string rate_table_info_text(const std::string& path, const RateTable& table) {
  const Distribution d = summarize(table);
  return fmt::format(
      "{} (rate table, no requests)\n  {:<15} {} of {:.0f} s\n  {:<15} mean {:.1f}, lowest {:.1f}, "
      "highest {:.1f} requests/s\n",
      path, "windows", d.count, table.window_s, "total rate", d.mean, d.min, d.max);
}

std::string rate_table_info_json(const std::string& path, const RateTable& table) {
  const Distribution d = summarize(table);
  return fmt::format(
      R"({{"name":{},"format":"servegen-windows","requests":0,"windows":{},"window_s":{},)"
      R"("rate_per_s":{{"mean":{},"min":{},"max":{}}}}})"
      "\n",
      json_quoted(path), d.count, table.window_s, d.mean, d.min, d.max);
}

namespace {

// "12" or "8..20".
void parse_turns(const std::string& text, SyntheticSpec& spec) {
  const std::size_t dots = text.find("..");
  const auto parse = [&](std::string_view part) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc{} || end != part.data() + part.size()) {
      throw InputError(Place{}, "--turns: expected N or MIN..MAX, found '" + text + "'");
    }
    return value;
  };
  spec.turns_min = parse(std::string_view(text).substr(0, dots));
  spec.turns_max =
      dots == std::string::npos ? spec.turns_min : parse(std::string_view(text).substr(dots + 2));
}

class TraceCommand : public Command {
 public:
  std::string summary() const override { return "what a trace is; convert one, or make one up"; }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--format") return TraceFormats::names();
    if (option == "--arrivals") return {"poisson", "gamma", "table"};
    return {};
  }

  void add_options(CLI::App& app) override {
    app.require_subcommand(1);
    info_ = app.add_subcommand("info", "statistics of a trace and its ideal hit rate");
    add_reading(*info_);
    convert_ = app.add_subcommand("convert", "write a trace in v4cap's own format (JSON lines)");
    add_reading(*convert_);
    add_writing(*convert_);
    synth_ = app.add_subcommand("synth", "make a trace of sessions from distributions");
    add_writing(*synth_);
    add_generator(*synth_);
  }

  ExitCode run(CommandContext& context) override {
    if (info_->parsed()) return run_info(context);
    if (convert_->parsed()) return run_convert(context);
    return run_synth(context);
  }

 private:
  void add_reading(CLI::App& app) {
    app.add_option("file", file_, "trace file, or a folder that holds one")->required();
    app.add_option("--format", read_.format,
                   "format of the file (default: told from its content); traces/README.md has all");
    app.add_option("--block-tokens", block_tokens_, "tokens per block id; the file must agree")
        ->check(CLI::PositiveNumber);
    app.add_option("--max-requests", read_.max_requests, "read only so many requests")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--spread-instants", read_.spread_instants,
                 "spread requests of one instant evenly up to the next");
    app.add_option("--start", start_s_, "sampled formats: first second of the day to sample")
        ->check(CLI::Range(0.0, 1e9));
    app.add_option("--duration", duration_s_, "sampled formats: seconds to sample (default: all)")
        ->check(CLI::Range(0.0, 1e9));
  }

  void add_writing(CLI::App& app) {
    app.add_option("-o,--out", out_, "file to write; compressed when it ends in .gz")->required();
    app.add_flag("--overwrite", overwrite_, "replace the file when it exists");
  }

  void add_generator(CLI::App& app) {
    app.add_option("--sessions", spec_.sessions, "number of sessions")->required();
    app.add_option("--turns", turns_, "turns of a session, N or MIN..MAX")->capture_default_str();
    app.add_option("--shared-prefix", spec_.shared_prefix.value, "tokens of the system prompt")
        ->capture_default_str();
    app.add_option("--prefix-groups", spec_.prefix_groups, "different system prompts")
        ->capture_default_str();
    app.add_option("--first-prompt", first_prompt_,
                   "new tokens of a session's first prompt: N, uniform:MIN..MAX, "
                   "lognormal:mean=..,sigma=..[,min=..,max=..], exponential:mean=.., table:FILE")
        ->capture_default_str();
    app.add_option("--next-prompt", next_prompt_, "new tokens of every later turn")
        ->capture_default_str();
    app.add_option("--output", output_, "generated tokens of a turn")->capture_default_str();
    app.add_option("--think", spec_.think_mean_s, "mean think time in s, exponential")
        ->capture_default_str();
    app.add_option("--arrivals", spec_.arrivals, "poisson, gamma or table")->capture_default_str();
    app.add_option("--rate", spec_.rate_per_s, "sessions per second (with a table: factor on it)")
        ->capture_default_str();
    app.add_option("--burstiness", spec_.burstiness, "shape of the gaps; below 1 is burstier")
        ->capture_default_str();
    app.add_option("--rate-table", spec_.rate_table, "table of rates (servegen-windows)");
    app.add_option("--block", spec_.block.value, "tokens per block id")->capture_default_str();
  }

  Trace read(const CommandContext& context, const std::string& path) {
    if (block_tokens_ > 0) read_.block_tokens = Tokens{block_tokens_};
    read_.seed = context.options.seed.value_or(1);
    read_.window_start = duration_from_seconds(start_s_);
    read_.window_length = duration_from_seconds(duration_s_);
    return read_trace(path, read_);
  }

  ExitCode run_info(CommandContext& context) {
    const std::string path = locate_trace(file_, context.options.trace_dir);
    const std::string format = read_.format.empty() ? sniff_format(path) : read_.format;
    if (format == "servegen-windows") {
      const RateTable table = read_rate_table(path);
      context.out << (context.options.json ? rate_table_info_json(path, table)
                                           : rate_table_info_text(path, table));
      return ExitCode::done;
    }
    const Trace trace = read(context, path);
    context.out << (context.options.json ? trace_info_json(trace) : trace_info_text(trace));
    return ExitCode::done;
  }

  ExitCode run_convert(CommandContext& context) {
    refuse_existing();
    return write(context, read(context, locate_trace(file_, context.options.trace_dir)));
  }

  ExitCode run_synth(CommandContext& context) {
    refuse_existing();
    const std::string& folder = context.options.trace_dir;
    parse_turns(turns_, spec_);
    spec_.first_prompt = length("--first-prompt", first_prompt_, folder);
    spec_.next_prompt = length("--next-prompt", next_prompt_, folder);
    spec_.output = length("--output", output_, folder);
    if (!spec_.rate_table.empty()) spec_.rate_table = locate_trace(spec_.rate_table, folder);
    Trace trace = generate_trace(spec_, context.options.seed.value_or(1));
    const std::string file = std::filesystem::path(out_).filename().string();
    trace.name = file.substr(0, file.find('.'));
    return write(context, trace);
  }

  LengthSpec length(const char* name, const std::string& text, const std::string& folder) {
    LengthSpec spec = parse_length_spec(name, text);
    if (!spec.table.empty()) spec.table = locate_trace(spec.table, folder);
    return spec;
  }

  void refuse_existing() {
    if (!overwrite_ && std::filesystem::exists(out_)) {
      throw InputError(Place{out_}, "the file exists; choose another name or pass --overwrite");
    }
  }

  ExitCode write(CommandContext& context, const Trace& trace) {
    if (!context.options.dry_run) write_native(trace, out_);
    if (context.options.json) {
      context.out << trace_info_json(trace);
    } else if (!context.options.quiet) {
      context.err << fmt::format("{} {}: {} requests in {} sessions\n",
                                 context.options.dry_run ? "would write" : "wrote", out_,
                                 trace.requests.size(), trace.session_names.size());
    }
    return ExitCode::done;
  }

  CLI::App *info_ = nullptr, *convert_ = nullptr, *synth_ = nullptr;
  std::string file_, out_;
  bool overwrite_ = false;
  TraceReadOptions read_;
  std::int64_t block_tokens_ = 0;
  double start_s_ = 0, duration_s_ = 0;
  SyntheticSpec spec_;
  std::string turns_ = "1", first_prompt_ = "1000", next_prompt_ = "200", output_ = "200";
};

const bool registered = CommandRegistry::add(
    "trace", []() -> std::unique_ptr<Command> { return std::make_unique<TraceCommand>(); });

}  // namespace

}  // namespace v4cap
