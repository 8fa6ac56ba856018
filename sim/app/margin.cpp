#include "sim/app/margin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>

#include "sim/core/error.h"
#include "sim/core/parallel.h"
#include "sim/output/humanise.h"
#include "sim/output/summary_json.h"
#include "sim/sweep/figures.h"

namespace v4cap {
namespace {

struct Shown {
  const char* figure;
  const char* label;
};

constexpr auto kShown = std::to_array<Shown>({
    {"ttft_ms.p50", "TTFT p50, ms"},
    {"ttft_ms.p90", "TTFT p90, ms"},
    {"ttft_ms.p99", "TTFT p99, ms"},
    {"tpot_ms.p50", "TPOT p50, ms"},
    {"tpot_ms.p90", "TPOT p90, ms"},
    {"tpot_ms.p99", "TPOT p99, ms"},
    {"e2el_ms.p50", "E2EL p50, ms"},
    {"e2el_ms.p90", "E2EL p90, ms"},
    {"e2el_ms.p99", "E2EL p99, ms"},
    {"request_s", "finished, requests/s"},
    {"output_tok_s", "output, tok/s"},
    {"hit_rate", "hit rate"},
    {"rebuilt_tokens", "rebuilt, tokens"},
});

std::map<std::string, double> figures_of_run(const RunResult& result, const Scenario& scenario) {
  JsonWriter json;
  write_summary(json, summarise(result, identify(scenario)), WallTime::left_out);
  std::map<std::string, double> figures;
  for (const auto& [name, text] : figures_of(json.text())) {
    double value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec == std::errc() && end.ptr == text.data() + text.size()) figures[name] = value;
  }
  return figures;
}

Scenario with_step_times(Scenario scenario, double factor) {
  scenario.step_time_factor *= factor;
  if (scenario.prefill) {
    scenario.prefill = std::make_shared<const Scenario>(with_step_times(*scenario.prefill, factor));
  }
  return scenario;
}

std::string shown_figure(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  return size >= 1000 ? grouped(value, 0) : fmt::format("{:.{}f}", value, size >= 100 ? 1 : 3);
}

std::string moved_by(double value, double here) {
  if (value == here) return "0 %";
  return here == 0 ? "" : fmt::format("{:+.2f} %", 100 * (value / here - 1));
}

}  // namespace

Margin margin_of(const FinishedRun& run, const Trace& trace, double percent, unsigned threads,
                 const ProgressFunction& progress) {
  V4CAP_CHECK(percent > 0 && percent <= kMostMarginPercent, fmt::format("{} %", percent));
  const double share = percent / 100;
  const std::array<double, 4> factors{1 - share, 1 - share / 2, 1 + share / 2, 1 + share};
  std::array<std::map<std::string, double>, 4> moved;
  // Replicas of a cluster have threads of their own.
  const bool cluster = run.scenario.cluster.asked();
  parallel_for(
      factors.size(),
      [&](std::size_t i) {
        const Scenario scenario = with_step_times(run.scenario, factors[i]);
        const RecordRules records{.most_kept = kMostKeptRecords};
        moved[i] = figures_of_run(
            run_scenario(scenario, trace, progress, nullptr, records, cluster ? threads : 1),
            scenario);
      },
      cluster ? 1 : threads);

  Margin margin{.percent = percent, .runs = static_cast<int>(factors.size()) + 1, .rows = {}};
  const std::map<std::string, double> here = figures_of_run(run.result, run.scenario);
  for (const Shown& shown : kShown) {
    const auto own = here.find(shown.figure);
    if (own == here.end()) continue;
    MarginRow row{shown.figure, own->second, own->second, own->second};
    for (const auto& figures : moved) {
      const auto other = figures.find(shown.figure);
      if (other == figures.end()) continue;
      row.low = std::min(row.low, other->second);
      row.high = std::max(row.high, other->second);
    }
    margin.rows.push_back(std::move(row));
  }
  return margin;
}

std::string margin_text(const Margin& margin, const TextStyle& style) {
  Table table({"", "here", "least", "most", "", ""});
  for (const MarginRow& row : margin.rows) {
    const auto* shown = std::ranges::find(kShown, row.figure, &Shown::figure);
    table.row({shown->label, shown_figure(row.here), shown_figure(row.low), shown_figure(row.high),
               moved_by(row.low, row.here), moved_by(row.high, row.here)});
  }
  return style.heading(fmt::format("If steps took up to {} % more or less", margin.percent)) +
         fmt::format(" ({} runs)\n", margin.runs) + table.text(style);
}

void write_margin(JsonWriter& json, const Margin& margin) {
  json.key("margin").begin_object().member("step_time_pct", margin.percent);
  json.member("runs", margin.runs).key("figures").begin_object();
  for (const MarginRow& row : margin.rows) {
    json.key(row.figure).begin_object().member("here", row.here);
    json.member("low", row.low).member("high", row.high).end_object();
  }
  json.end_object().end_object();
}

}  // namespace v4cap
