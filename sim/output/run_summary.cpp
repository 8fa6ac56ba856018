#include "sim/output/run_summary.h"

#include <fmt/format.h>

#include <utility>

#include "sim/config/scenario.h"

namespace v4cap {

RunIdentity identify(const Scenario& scenario) {
  std::string times = scenario.profile.empty() ? "roofline" : scenario.profile;
  for (const std::string& donor : scenario.profile_donors) times += " and " + donor;
  const Deployment& d = scenario.deployment;
  if (!d.collectives) {
    times += fmt::format(", collectives skipped: one rank of TP{} EP{}", d.tensor_parallel,
                         d.expert_parallel);
  }
  if (scenario.step_time_factor != 1) {
    times += fmt::format(", all steps {} times as long", scenario.step_time_factor);
  }
  return {.scenario = scenario.name,
          .model = scenario.model.name,
          .hardware = scenario.hardware.name,
          .policy = scenario.kv_cache.swa_policy,
          .layout = scenario.kv_cache.layout,
          .scheduler = scenario.engine.scheduler,
          .times = std::move(times),
          .profile_beside = scenario.profile_beside,
          .seed = scenario.seed};
}

RunSummary summarise(const RunResult& result, RunIdentity identity) {
  RunSummary out{.identity = std::move(identity),
                 .metrics = compute_metrics(result),
                 .verdict = make_verdict(result.totals),
                 .totals = result.totals,
                 .gpus = result.gpus};
  if (result.cluster) out.cluster = summarise_cluster(result);
  return out;
}

TimeShareFractions fractions(const TimeShare& share) {
  const double total = share.measured_s + share.interpolated_s + share.extrapolated_s +
                       share.transferred_s + share.roofline_s + share.host_s;
  if (total <= 0) return {};
  return {share.measured_s / total,    share.interpolated_s / total, share.extrapolated_s / total,
          share.transferred_s / total, share.roofline_s / total,     share.host_s / total};
}

std::optional<double> accepted_length_mean(const RunTotals& totals) {
  if (totals.decode_steps == 0) return std::nullopt;
  return static_cast<double>(totals.decoded.value) / static_cast<double>(totals.decode_steps);
}

std::optional<double> per_output_token(const KindBytes& bytes, Tokens output) {
  if (output == Tokens{0}) return std::nullopt;
  return static_cast<double>(bytes.total().value) / static_cast<double>(output.value);
}

std::optional<double> drive_writes_per_day(const TierTotals& tier, Duration duration) {
  if (!tier.drive || duration <= Duration{0}) return std::nullopt;
  const double a_second = static_cast<double>(tier.written.total().value) / to_seconds(duration);
  return a_second * 86400 / static_cast<double>(tier.drive->value);
}

std::string hash_text(std::uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

}  // namespace v4cap
