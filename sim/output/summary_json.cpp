#include "sim/output/summary_json.h"

#include <algorithm>
#include <string_view>

#include "sim/output/version.h"

namespace v4cap {

namespace {

void write_provenance(JsonWriter& json, const RunSummary& summary) {
  const RunIdentity& id = summary.identity;
  json.member("source", "simulated").member("simulator_version", simulator_version());
  json.member("definitions_version", kDefinitionsVersion);
  json.member("scenario", id.scenario).member("model", id.model).member("hardware", id.hardware);
  json.member("gpus", summary.gpus).member("policy", id.policy).member("layout", id.layout);
  json.member("scheduler", id.scheduler).member("times", id.times).member("seed", id.seed);
}

void write_counts(JsonWriter& json, const RunSummary& summary) {
  const Metrics& m = summary.metrics;
  json.member("requests", m.requests).member("finished", m.finished).member("refused", m.refused);
  json.member("preemptions", m.preemptions);
  json.member("steps", summary.totals.steps).member("events", summary.totals.events);
  json.member("duration_s", exact_ms(m.duration) / 1e3);
  json.member("hit_rate", m.hit_rate);
  json.member("ideal_hit_rate", summary.totals.ideal_hit_rate);
  json.member("prompt_tokens", m.prompt.value).member("hit_tokens", m.hit.value);
  json.member("computed_tokens", m.computed.value).member("rebuilt_tokens", m.rebuilt.value);
  json.member("recomputed_after_preemption", m.recomputed_after_preemption.value);
  json.member("net_saved_tokens", m.net_saved().value).member("output_tokens", m.output.value);
}

void write_latency(JsonWriter& json, std::string_view name, const Distribution& d) {
  const auto if_any = [&](double value) {
    return d.count > 0 ? std::optional<double>{value} : std::nullopt;
  };
  json.key(name).begin_object();
  json.member("mean", if_any(d.mean)).member("p50", if_any(d.p50));
  json.member("p90", if_any(d.p90)).member("p99", if_any(d.p99));
  json.member("count", d.count).end_object();
}

void write_rates(JsonWriter& json, const Metrics& m) {
  const auto of = [&](double PerGpuThroughput::*part) {
    return m.per_gpu ? std::optional<double>{*m.per_gpu.*part} : std::nullopt;
  };
  json.member("request_s", m.request_throughput).member("output_tok_s", m.output_token_throughput);
  json.member("total_tok_s", m.total_token_throughput);
  json.key("tok_s_per_gpu").begin_object();
  json.member("cached", of(&PerGpuThroughput::cached));
  json.member("computed", of(&PerGpuThroughput::computed));
  json.member("output", of(&PerGpuThroughput::output)).end_object();
}

void write_memory(JsonWriter& json, const RunTotals& totals) {
  json.member("kv_capacity_gib", to_gib(totals.kv_capacity));
  json.key("kv_peak_gib").begin_object();
  for (const CacheKind kind : all_cache_kinds()) {
    json.member(name_of(kind), to_gib(Bytes{totals.kv_peak[kind]}));
  }
  json.end_object();
  const auto by_kind = [&](std::string_view name, const KindBytes& bytes) {
    json.key(name).begin_object();
    for (const CacheKind kind : all_cache_kinds()) json.member(name_of(kind), bytes[kind]);
    json.end_object();
  };
  by_kind("hit_bytes", totals.hit_bytes);
  by_kind("rebuilt_bytes", totals.rebuilt_bytes);
  by_kind("written_bytes", totals.written);
  by_kind("evicted_bytes", totals.evicted);
}

// Bytes per generated token, and how often a day what is written would fill the drives.
void write_tier(JsonWriter& json, const TierTotals& tier, const Metrics& metrics) {
  const auto by_kind = [&](std::string_view name, const KindBytes& bytes) {
    json.key(name).begin_object();
    for (const CacheKind kind : all_cache_kinds()) json.member(name_of(kind), bytes[kind]);
    json.end_object();
  };
  json.key(tier.name).begin_object();
  json.member("write", tier.policy).member("capacity_gib", to_gib(tier.capacity));
  json.member("peak_gib", to_gib(tier.peak));
  json.member("hit_tokens", tier.hit_tokens.value).member("hit_points", tier.hit_points);
  by_kind("written_bytes", tier.written);
  by_kind("read_bytes", tier.read);
  by_kind("evicted_bytes", tier.evicted);
  by_kind("expired_bytes", tier.expired);
  by_kind("lost_bytes", tier.lost);
  json.member("lost_gib", to_gib(tier.lost.total()));
  by_kind("refused_bytes", tier.refused);
  json.member("written_bytes_per_output_token", per_output_token(tier.written, metrics.output));
  json.member("read_bytes_per_output_token", per_output_token(tier.read, metrics.output));
  json.member("read_utilisation", tier.read_utilisation);
  json.member("write_utilisation", tier.write_utilisation);
  json.member("drive_writes_per_day", drive_writes_per_day(tier, metrics.duration));
  json.end_object();
}

void write_tiers(JsonWriter& json, const RunSummary& summary) {
  const RunTotals& totals = summary.totals;
  if (totals.tiers.empty()) return;
  Tokens below;
  for (const TierTotals& tier : totals.tiers) below += tier.hit_tokens;
  json.key("tiers").begin_object();
  // What requests found below that were lost counts there, and not among hits.
  json.member("gpu_hit_tokens", std::max(summary.metrics.hit - below, Tokens{0}).value);
  json.member("load_wait_s", to_seconds(totals.load_wait));
  for (const TierTotals& tier : totals.tiers) write_tier(json, tier, summary.metrics);
  json.end_object();
}

void write_findings(JsonWriter& json, const RunSummary& summary) {
  json.member("binding_constraint", summary.verdict.binding);
  json.member("binding_share", summary.verdict.share);
  json.member("saturated", summary.verdict.saturated);
  json.member("verdict", summary.verdict.text);
  json.member("mean_in_system", summary.totals.mean_in_system);
  json.member("waiting_mean", summary.totals.waiting_mean);
  json.member("running_mean", summary.totals.running_mean);
  json.member("decoding_mean", summary.totals.decoding_mean);
  json.member("mean_batch", summary.totals.mean_batch);
  json.member("accepted_length_mean", accepted_length_mean(summary.totals));
  const TimeShareFractions share = fractions(summary.totals.share);
  json.key("time_share").begin_object();
  json.member("measured", share.measured).member("interpolated", share.interpolated);
  json.member("extrapolated", share.extrapolated).member("transferred", share.transferred);
  json.member("roofline", share.roofline).member("host", share.host).end_object();
  json.member("clamped_steps", summary.totals.clamped_steps);
  json.member("result_hash", hash_text(summary.totals.result_hash));
}

}  // namespace

void write_summary(JsonWriter& json, const RunSummary& summary, WallTime wall_time,
                   const MoreMembers& more) {
  json.begin_object();
  write_provenance(json, summary);
  write_counts(json, summary);
  if (summary.metrics.quantile_error > 0) {
    json.member("quantile_relative_error", summary.metrics.quantile_error);
  }
  write_latency(json, "ttft_ms", summary.metrics.time_to_first_token_ms);
  write_latency(json, "tpot_ms", summary.metrics.inter_token_latency_ms);
  write_latency(json, "e2el_ms", summary.metrics.request_latency_ms);
  write_rates(json, summary.metrics);
  write_memory(json, summary.totals);
  write_tiers(json, summary);
  write_findings(json, summary);
  if (summary.cluster) write_cluster(json.key("cluster"), *summary.cluster);
  if (wall_time == WallTime::included) json.member("wall_s", summary.totals.wall_s);
  if (more) more(json);
  json.end_object();
}

std::string summary_json(const RunSummary& summary, WallTime wall_time, const MoreMembers& more) {
  JsonWriter json{2};
  write_summary(json, summary, wall_time, more);
  return json.text() + '\n';
}

}  // namespace v4cap
