#include "sim/import/launch_report.h"

#include <fmt/format.h>
#include <algorithm>

#include "sim/cache/capacity.h"
#include "sim/cluster/run_scenario.h"

namespace v4cap {

namespace {

constexpr std::int64_t kLengths[] = {8192, 65536};

double gib(Bytes bytes) {
  return to_gib(bytes);
}

// Weights of one GPU, of the model or of its draft. vLLM states both together.
std::optional<double> weights_gib(LogQuantity quantity, const Scenario& s,
                                  const LaunchReport& report) {
  if (!report.memory) return std::nullopt;
  Bytes target, draft;
  for (const MemoryItem& item : report.memory->items) {
    if (!item.name.starts_with("weights")) continue;
    (item.name.ends_with("draft") ? draft : target) += item.bytes;
  }
  if (quantity == LogQuantity::draft_weights_gib) return gib(draft);
  return gib(s.kv_cache.layout == "vllm" ? target + draft : target);
}

// A figure of ours that is no figure of the layout.
std::optional<double> scenario_figure(LogQuantity quantity, const Scenario& s,
                                      const LaunchReport& report) {
  switch (quantity) {
    case LogQuantity::weights_gib:
    case LogQuantity::draft_weights_gib:
      return weights_gib(quantity, s, report);
    case LogQuantity::kv_memory_gib:
      return report.misfit.empty() ? std::optional(gib(report.kv_memory)) : std::nullopt;
    case LogQuantity::max_running:
      return static_cast<double>(s.engine.max_running);
    case LogQuantity::step_tokens:
      return static_cast<double>(s.engine.step_tokens.value);
    case LogQuantity::max_context_tokens:
      return static_cast<double>(s.engine.max_context.value);
    case LogQuantity::memory_fraction:
      return s.kv_cache.memory_fraction;
    default:
      return std::nullopt;
  }
}

std::optional<double> layout_figure(LogQuantity quantity, const std::vector<LogFigure>& figures) {
  const LogFigure* figure = find_figure(figures, std::string(name_of(quantity)));
  return figure == nullptr ? std::nullopt : std::optional(figure->value);
}

std::vector<LogFigure> figures_with(const Scenario& scenario, Bytes memory) {
  Scenario s = scenario;
  s.kv_cache.memory = memory;
  return make_engine(s)->cache().layout().engine_log();
}

bool is_setting(LogQuantity quantity) {
  return quantity == LogQuantity::version || quantity == LogQuantity::async_scheduling;
}

std::vector<LogCheck> check_log(const ImportedLaunch& launch, const LaunchReport& report) {
  std::vector<LogFigure> with_stated;
  const auto memory = std::ranges::find(launch.log, LogQuantity::kv_memory_gib, &LogFact::quantity);
  if (memory != launch.log.end() && memory->low > 0) {
    const double bytes = memory->low * static_cast<double>(kGiB);
    with_stated = figures_with(launch.scenario, Bytes{static_cast<std::int64_t>(bytes)});
  }
  std::vector<LogCheck> out;
  for (const LogFact& fact : launch.log) {
    if (is_setting(fact.quantity)) continue;
    LogCheck check{fact, scenario_figure(fact.quantity, launch.scenario, report),
                   layout_figure(fact.quantity, with_stated)};
    if (!check.ours) check.ours = layout_figure(fact.quantity, report.figures);
    out.push_back(check);
  }
  return out;
}

// An engine that cannot hold one request of full length may refuse to start (vLLM does).
std::string short_of_one_request(const Scenario& s, const std::vector<LogFigure>& figures) {
  const LogFigure* concurrency = find_figure(figures, kConcurrencyFigure);
  if (s.kv_cache.layout != "vllm" || concurrency == nullptr || concurrency->value >= 1) return "";
  const LogFigure* longest = find_figure(figures, kLongestFigure);
  return fmt::format(
      "the KV cache holds {:.2f} requests of {} tokens, vLLM does not start below "
      "one{}",
      concurrency->value, s.engine.max_context.value,
      longest == nullptr ? "" : fmt::format("; --max-model-len {:.0f} would do", longest->value));
}

// What is reserved by request may leave nothing for tokens.
std::string short_of_tokens(const Scenario& s, const LaunchReport& report) {
  const LogFigure* tokens = find_figure(report.figures, kTokensFigure);
  if (tokens == nullptr || tokens->value > 0) return "";
  return fmt::format(
      "{:.2f} GiB of KV memory hold no tokens beside what {} running requests "
      "reserve; fewer running requests would do",
      gib(report.kv_memory), s.engine.max_running);
}

void size_pools(const Scenario& s, LaunchReport& report) {
  const std::unique_ptr<Engine> engine = make_engine(s);
  const Layout& layout = engine->cache().layout();
  report.figures = layout.engine_log();
  if (s.kv_cache.memory) {
    report.kv_memory = *s.kv_cache.memory;
  } else {
    report.kv_memory = report.memory->kv;
  }
  report.misfit = short_of_tokens(s, report);
  if (report.misfit.empty()) report.misfit = short_of_one_request(s, report.figures);
  // Engines give up the windows that a running request has left behind, whatever they cache.
  Scenario running = s;
  if (s.model.window.value > 0) running.kv_cache.swa_policy = "recompute";
  const std::unique_ptr<Engine> lean = make_engine(running);
  const Capacity capacity(lean->cache().layout(), lean->cache().policy(), s.kv_cache.block);
  std::vector<std::int64_t> lengths(std::begin(kLengths), std::end(kLengths));
  lengths.push_back(s.engine.max_context.value);
  for (const std::int64_t length : lengths) {
    if (length > s.engine.max_context.value) continue;
    report.running.push_back({Tokens{length}, capacity.running_sequences(Tokens{length})});
  }
}

}  // namespace

std::optional<double> difference_percent(const LogFact& stated, std::optional<double> ours) {
  if (!ours || stated.low == 0) return std::nullopt;
  const double nearest = std::clamp(*ours, stated.low, stated.high);
  return (*ours - nearest) / nearest * 100;
}

LaunchReport report_launch(const ImportedLaunch& launch) {
  const Scenario& s = launch.scenario;
  LaunchReport report;
  report.running_cap = s.engine.max_running;
  try {
    if (!s.kv_cache.memory) report.memory = memory_of_gpu(s);
    size_pools(s, report);
  } catch (const RunError& error) {
    report.misfit = error.what();
  }
  report.log_checks = check_log(launch, report);
  return report;
}

}  // namespace v4cap
