#include "sim/compare/compared_figures.h"

#include "sim/compare/measured_run.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

namespace {

std::vector<ComparedFigure> all_figures() {
  std::vector<ComparedFigure> all;
  for (const Latency latency : kLatencies) {
    for (const std::string statistic : {"mean", "p50", "p90", "p99"}) {
      all.push_back({.name = std::string(name_of(latency)) + '_' + statistic,
                     .group = std::string(label_of(latency)) + ", ms",
                     .label = statistic,
                     .unit = "ms"});
    }
  }
  const std::string throughput = "Throughput", cache = "Cache", run = "Run",
                    peak = "Peak KV memory of one GPU, GiB";
  all.push_back({"throughput_output", throughput, "output, tok/s", "tok/s"});
  all.push_back({"throughput_total", throughput, "input and output, tok/s", "tok/s"});
  all.push_back({"throughput_request", throughput, "requests/s", "1/s"});
  all.push_back({"hit_rate", cache, "hit rate, %", "1", true});
  all.push_back({"rebuilt_tokens", cache, "rebuilt tokens", "tokens"});
  all.push_back({"recomputed_tokens", cache, "recomputed after preemption", "tokens"});
  all.push_back({"preemptions", cache, "preemptions", ""});
  all.push_back({"kv_peak", peak, "of the kinds, added", "GiB"});
  for (const CacheKind kind : all_cache_kinds()) {
    const std::string name(name_of(kind));
    all.push_back({"kv_peak_" + name, peak, name, "GiB"});
  }
  all.push_back({"requests", run, "requests finished", ""});
  all.push_back({"failed", run, "refused or failed", ""});
  all.push_back({"duration", run, "duration, s", "s"});
  return all;
}

}  // namespace

const std::vector<ComparedFigure>& compared_figures() {
  static const std::vector<ComparedFigure> figures = all_figures();
  return figures;
}

std::optional<double> error_pct(double a, double b) {
  if (a == b) return 0.0;
  if (a == 0) return std::nullopt;
  return 100 * (b - a) / a;
}

std::optional<double> signed_error(const ComparedFigure& figure, std::optional<double> a,
                                   std::optional<double> b) {
  if (!a || !b) return std::nullopt;
  if (figure.is_rate) return 100 * (*b - *a);
  return error_pct(*a, *b);
}

}  // namespace v4cap
