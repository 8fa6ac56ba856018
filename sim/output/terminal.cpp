#include "sim/output/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "sim/core/error.h"
#include "sim/output/humanise.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr std::size_t kColumns = 100;

using Figure = std::function<std::optional<double>(const RunSummary&)>;
using Count = std::function<std::int64_t(const RunSummary&)>;

// Adds rows to a table with one column a run.
class Rows {
 public:
  Rows(const std::vector<RunSummary>& runs, Table& table) : runs_(runs), table_(table) {}

  void group(std::string title) { table_.group(std::move(title)); }

  // All cells of a row have the decimals that its largest figure deserves.
  void figure(std::string title, const Figure& of) {
    double largest = 0;
    for (const RunSummary& run : runs_) largest = std::max(largest, std::abs(of(run).value_or(0)));
    const int decimals = decimals_for(largest);
    cells(std::move(title), [&](const RunSummary& run) {
      const std::optional<double> value = of(run);
      return value ? grouped(*value, decimals) : std::string("-");
    });
  }

  void count(std::string title, const Count& of) {
    cells(std::move(title), [&](const RunSummary& run) { return grouped(of(run)); });
  }

  // A row that says nothing when it is 0 everywhere.
  void count_if_any(std::string title, const Count& of) {
    if (std::any_of(runs_.begin(), runs_.end(), [&](const RunSummary& r) { return of(r) != 0; })) {
      count(std::move(title), of);
    }
  }

  void gib_if_any(std::string title, const Count& bytes) {
    if (std::any_of(runs_.begin(), runs_.end(),
                    [&](const RunSummary& r) { return bytes(r) != 0; })) {
      figure(std::move(title), [&](const RunSummary& r) { return to_gib(Bytes{bytes(r)}); });
    }
  }

  void cells(std::string title, const std::function<std::string(const RunSummary&)>& of) {
    std::vector<std::string> row{std::move(title)};
    for (const RunSummary& run : runs_) row.push_back(of(run));
    table_.row(std::move(row));
  }

 private:
  const std::vector<RunSummary>& runs_;
  Table& table_;
};

std::optional<double> percent(std::optional<double> fraction) {
  return fraction ? std::optional<double>{100 * *fraction} : std::nullopt;
}

void cache_rows(Rows& rows) {
  rows.group("Cache");
  rows.figure("hit rate, %", [](const RunSummary& r) { return percent(r.metrics.hit_rate); });
  rows.figure("hit rate of an infinite cache, %",
              [](const RunSummary& r) { return percent(r.totals.ideal_hit_rate); });
  rows.count("prompt, tokens", [](const RunSummary& r) { return r.metrics.prompt.value; });
  rows.count("hit, tokens", [](const RunSummary& r) { return r.metrics.hit.value; });
  rows.count("computed, tokens", [](const RunSummary& r) { return r.metrics.computed.value; });
  rows.count("rebuilt, tokens", [](const RunSummary& r) { return r.metrics.rebuilt.value; });
  rows.count("net saved, tokens", [](const RunSummary& r) { return r.metrics.net_saved().value; });
  rows.count_if_any("recomputed after preemption, tokens", [](const RunSummary& r) {
    return r.metrics.recomputed_after_preemption.value;
  });
}

void latency_rows(Rows& rows, const std::string& mark) {
  rows.group("Latency" + mark);
  const auto quantile = [&](const char* title, Distribution Metrics::*metric,
                            double Distribution::*q) {
    rows.figure(title, [=](const RunSummary& r) -> std::optional<double> {
      const Distribution& d = r.metrics.*metric;
      return d.count > 0 ? std::optional<double>{d.*q} : std::nullopt;
    });
  };
  quantile("TTFT p50, ms", &Metrics::time_to_first_token_ms, &Distribution::p50);
  quantile("TTFT p90, ms", &Metrics::time_to_first_token_ms, &Distribution::p90);
  quantile("TTFT p99, ms", &Metrics::time_to_first_token_ms, &Distribution::p99);
  quantile("TPOT p50, ms", &Metrics::inter_token_latency_ms, &Distribution::p50);
  quantile("TPOT p99, ms", &Metrics::inter_token_latency_ms, &Distribution::p99);
  quantile("E2EL p50, ms", &Metrics::request_latency_ms, &Distribution::p50);
  quantile("E2EL p99, ms", &Metrics::request_latency_ms, &Distribution::p99);
}

void throughput_rows(Rows& rows, const std::string& mark) {
  rows.group("Throughput" + mark);
  rows.count("finished, requests", [](const RunSummary& r) { return r.metrics.finished; });
  rows.count_if_any("refused, requests", [](const RunSummary& r) { return r.metrics.refused; });
  rows.count_if_any("failed, requests", [](const RunSummary& r) { return r.metrics.failed; });
  rows.count_if_any("preemptions", [](const RunSummary& r) { return r.metrics.preemptions; });
  rows.figure("duration, s",
              [](const RunSummary& r) { return exact_ms(r.metrics.duration) / 1e3; });
  rows.figure("output, tok/s",
              [](const RunSummary& r) { return r.metrics.output_token_throughput; });
  const auto per_gpu = [&](const char* title, double PerGpuThroughput::*part) {
    rows.figure(title, [=](const RunSummary& r) -> std::optional<double> {
      return r.metrics.per_gpu ? std::optional<double>{*r.metrics.per_gpu.*part} : std::nullopt;
    });
  };
  per_gpu("cached, tok/s per GPU", &PerGpuThroughput::cached);
  per_gpu("computed, tok/s per GPU", &PerGpuThroughput::computed);
  per_gpu("output, tok/s per GPU", &PerGpuThroughput::output);
}

// Where there are several caches, of replicas or attention ranks, one GPU of each is counted.
void memory_rows(Rows& rows, const std::vector<RunSummary>& runs) {
  std::int64_t caches = 1;
  for (const RunSummary& run : runs) caches = std::max(caches, run.totals.kv_caches);
  rows.group(caches > 1 ? fmt::format("Memory of a GPU, sum of {} caches", caches)
                        : "Memory of one GPU");
  rows.gib_if_any("KV capacity, GiB",
                  [](const RunSummary& r) { return r.totals.kv_capacity.value; });
  for (const CacheKind kind : all_cache_kinds()) {
    rows.gib_if_any(fmt::format("peak {}, GiB", name_of(kind)),
                    [kind](const RunSummary& r) { return r.totals.kv_peak[kind]; });
  }
  rows.gib_if_any("evicted, GiB",
                  [](const RunSummary& r) { return r.totals.evicted.total().value; });
}

// A group for each tier below GPU memory.
void tier_rows(Rows& rows, const std::vector<RunSummary>& runs) {
  for (std::size_t i = 0; i < runs.front().totals.tiers.size(); ++i) {
    // Compared runs are of one scenario: they have the same tiers.
    const auto tier = [i](const RunSummary& r) -> const TierTotals& { return r.totals.tiers[i]; };
    const TierTotals& first = tier(runs.front());
    rows.group(fmt::format("Tier {}, {}, {}", first.name, human(first.capacity), first.policy));
    rows.count("hit, tokens", [=](const RunSummary& r) { return tier(r).hit_tokens.value; });
    rows.count_if_any("hit, points", [=](const RunSummary& r) { return tier(r).hit_points; });
    const auto gib = [&](const char* title, Bytes (*of)(const TierTotals&)) {
      rows.gib_if_any(title, [=](const RunSummary& r) { return of(tier(r)).value; });
    };
    gib("peak, GiB", [](const TierTotals& t) { return t.peak; });
    gib("written, GiB", [](const TierTotals& t) { return t.written.total(); });
    gib("read, GiB", [](const TierTotals& t) { return t.read.total(); });
    gib("evicted, GiB", [](const TierTotals& t) { return t.evicted.total(); });
    gib("expired, GiB", [](const TierTotals& t) { return t.expired.total(); });
    gib("lost, GiB", [](const TierTotals& t) { return t.lost.total(); });
    gib("refused, GiB", [](const TierTotals& t) { return t.refused.total(); });
    const auto per_token = [](const KindBytes& bytes, const RunSummary& r) {
      const auto all = per_output_token(bytes, r.metrics.output);
      return all ? std::optional<double>{*all / 1e3} : std::nullopt;
    };
    rows.figure("written per output token, KB",
                [=](const RunSummary& r) { return per_token(tier(r).written, r); });
    rows.figure("read per output token, KB",
                [=](const RunSummary& r) { return per_token(tier(r).read, r); });
    rows.figure("link up used, %",
                [=](const RunSummary& r) { return percent(tier(r).read_utilisation); });
    rows.figure("link down used, %",
                [=](const RunSummary& r) { return percent(tier(r).write_utilisation); });
    if (!first.drive) continue;
    rows.figure("drive writes per day", [=](const RunSummary& r) {
      return drive_writes_per_day(tier(r), r.metrics.duration);
    });
  }
}

void verdict_rows(Rows& rows) {
  rows.group("Verdict");
  rows.cells("binds", [](const RunSummary& r) { return r.verdict.binding; });
  rows.figure("share of the time, %", [](const RunSummary& r) { return percent(r.verdict.share); });
  rows.cells("saturated", [](const RunSummary& r) { return r.verdict.saturated ? "yes" : "no"; });
}

// Largest share of any run, by `part` of the fractions.
double largest_share(const std::vector<RunSummary>& runs, double TimeShareFractions::*part) {
  double share = 0;
  for (const RunSummary& run : runs) share = std::max(share, fractions(run.totals.share).*part);
  return share;
}

// Where most of a run's time was not measured on its GPU: a profile that was.
std::string profile_hint(const std::vector<RunSummary>& runs) {
  for (const RunSummary& run : runs) {
    const TimeShareFractions share = fractions(run.totals.share);
    if (share.roofline + share.transferred < 0.5 || run.identity.profile_beside.empty()) continue;
    return fmt::format("  measured on this GPU: --set profile={}\n", run.identity.profile_beside);
  }
  return "";
}

// What of the times was not measured; "" where all of it was.
std::string times_footnote(const std::vector<RunSummary>& runs) {
  const double roofline = largest_share(runs, &TimeShareFractions::roofline);
  if (roofline >= 0.9995) {
    return "* times: roofline estimate from datasheet figures, not measured\n" + profile_hint(runs);
  }
  std::string note;
  const auto say = [&](double TimeShareFractions::*part, const std::string& what) {
    const double share = largest_share(runs, part);
    if (share <= 0) return;
    note += fmt::format("{}{:.1f} % {}", note.empty() ? "" : ", ", 100 * share, what);
  };
  say(&TimeShareFractions::roofline, "roofline estimate from datasheet figures, not measured");
  say(&TimeShareFractions::transferred, "transferred from other GPUs");
  say(&TimeShareFractions::extrapolated, "outside the shapes that were measured");
  say(&TimeShareFractions::host, "waiting for the host");
  return note.empty() ? "" : "* of the step time: " + note + '\n' + profile_hint(runs);
}

std::string table_text(const std::vector<RunSummary>& runs, const TextStyle& style) {
  const std::string note = times_footnote(runs);
  const std::string mark = note.empty() ? "" : " *";
  std::vector<std::string> header{""};
  for (const RunSummary& run : runs) header.push_back(run.identity.policy);
  Table table{std::move(header)};
  Rows rows{runs, table};
  cache_rows(rows);
  latency_rows(rows, mark);
  throughput_rows(rows, mark);
  memory_rows(rows, runs);
  tier_rows(rows, runs);
  verdict_rows(rows);
  std::string text = table.text(style);
  if (!note.empty()) text += '\n' + style.dim(note);
  const double error = runs.front().metrics.quantile_error;
  if (error > 0) {
    text +=
        '\n' + style.dim(fmt::format("quantiles within {:.1f} %: a run as long as this keeps no "
                                     "record of its requests\n",
                                     100 * error));
  }
  return text;
}

std::string title_line(const RunSummary& run) {
  const RunIdentity& id = run.identity;
  return printable(fmt::format("{}: {} on {} GPU{} of {}, layout {}, times of {}", id.scenario,
                               id.model, run.gpus, run.gpus == 1 ? "" : "s", id.hardware, id.layout,
                               id.times));
}

std::string repeat_line(const RunSummary& run) {
  return printable(fmt::format("{}: seed {}, {} steps, {} events, result {}", run.identity.policy,
                               run.identity.seed, grouped(run.totals.steps),
                               grouped(run.totals.events), hash_text(run.totals.result_hash)));
}

}  // namespace

std::string run_report(const RunSummary& run, const TextStyle& style) {
  return style.heading(title_line(run)) + "\n" + wrapped(printable(run.verdict.text), kColumns) +
         "\n\n" + table_text({run}, style) + '\n' +
         (run.cluster ? cluster_report(*run.cluster, style) + '\n' : "") +
         style.dim(repeat_line(run)) + '\n';
}

std::string comparison_report(const std::vector<RunSummary>& runs, const TextStyle& style) {
  V4CAP_CHECK(!runs.empty(), "nothing to compare");
  std::string text = style.heading(title_line(runs.front())) + '\n';
  // Policies with the same verdict share a line.
  std::string policies;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    policies += (policies.empty() ? "" : ", ") + runs[i].identity.policy;
    if (i + 1 < runs.size() && runs[i + 1].verdict.text == runs[i].verdict.text) continue;
    text += wrapped(printable(policies + ": " + runs[i].verdict.text), kColumns) + '\n';
    policies.clear();
  }
  text += '\n' + table_text(runs, style) + '\n';
  for (const RunSummary& run : runs) text += style.dim(repeat_line(run)) + '\n';
  return text;
}

}  // namespace v4cap
