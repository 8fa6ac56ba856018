#include "sim/output/verdict.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "sim/output/humanise.h"

namespace v4cap {

namespace {

constexpr std::string_view kMemory = "memory:";

struct Cause {
  std::string name;
  Duration time{};
};

// In the order that breaks ties. `queue_only` leaves out time in which nothing waited.
std::vector<Cause> causes(const BindingTime& binding, bool queue_only) {
  std::vector<Cause> list;
  for (const auto& [pool, time] : binding.memory_pools) {
    list.push_back({std::string(kMemory) + pool, time});
  }
  list.push_back({"running_cap", binding.running_cap});
  const Duration busy_prefill = queue_only ? Duration{} : binding.nothing_waits_prefill;
  list.push_back({"prefill", binding.step_tokens + busy_prefill});
  if (!queue_only) list.push_back({"decode", binding.nothing_waits_decode});
  return list;
}

Cause largest(const std::vector<Cause>& list) {
  Cause best;
  for (const Cause& cause : list) {
    if (cause.time > best.time) best = cause;
  }
  return best;
}

Duration total_time(const BindingTime& binding) {
  Duration total = binding.idle;
  for (const Cause& cause : causes(binding, false)) total += cause.time;
  return total;
}

bool mostly_idle(const BindingTime& binding) {
  return binding.idle > total_time(binding) - binding.idle;
}

// Idle time of a run whose clients pause for hours says nothing of the time when they do not.
bool queued_for_long(const RunTotals& totals) {
  return totals.waiting_mean > totals.running_mean;
}

Cause binding_cause(const RunTotals& totals) {
  const BindingTime& binding = totals.binding;
  const bool idle = mostly_idle(binding);
  if (totals.saturated || (idle && queued_for_long(totals))) {
    if (Cause cause = largest(causes(binding, true)); cause.time > Duration{}) return cause;
  }
  // A node that refuses what comes has nothing to do.
  if (idle && 2 * totals.refused > totals.requests) return {"none", Duration{}};
  if (idle) return {"arrivals", binding.idle};
  Cause cause = largest(causes(binding, false));
  if (cause.time > Duration{}) return cause;
  // Busy and idle for equally long, that is: not at all.
  return {"none", Duration{}};
}

std::string what_binds(const Verdict& verdict, bool prefill_waits) {
  const std::string percent = fmt::format("{:.0f} %", 100 * verdict.share);
  const std::string_view binding = verdict.binding;
  if (binding.starts_with(kMemory)) {
    return fmt::format(
        "KV memory binds: for {} of the time the next request waited for room in pool '{}'",
        percent, binding.substr(kMemory.size()));
  }
  if (binding == "running_cap") {
    return fmt::format(
        "The cap on running requests binds: for {} of the time the next request waited for a slot",
        percent);
  }
  if (binding == "prefill" && prefill_waits) {
    return fmt::format("Prefill binds: for {} of the time prompts filled the steps", percent);
  }
  if (binding == "prefill") {
    return fmt::format(
        "Prefill sets the pace: it made up the steps for {} of the time, with no queue", percent);
  }
  if (binding == "decode") {
    return fmt::format(
        "Decode sets the pace: it made up the steps for {} of the time, with no queue", percent);
  }
  return fmt::format("Arrivals bind: the node was idle for {} of the time", percent);
}

std::string_view what_to_try(const Verdict& verdict, bool prefill_waits, bool refuses) {
  const std::string_view binding = verdict.binding;
  if (binding.starts_with(kMemory)) {
    return "Keeping less state per token, more memory for the cache or more replicas would help.";
  }
  if (binding == "running_cap") {
    return "A higher cap admits more at once, as long as memory and TPOT allow it.";
  }
  if (binding == "prefill" && prefill_waits) {
    return "More prefix hits, a larger token budget per step or more replicas would help.";
  }
  if (binding == "prefill") return "More prefix hits or faster prefill would lower TTFT.";
  if (binding == "decode" && refuses) {
    return "It can take more of the requests that it does not refuse, at the price of TPOT.";
  }
  if (binding == "decode") return "The node can take more load, at the price of TPOT.";
  if (refuses) return "It can take more of the requests that it does not refuse.";
  return "The node can take more load.";
}

std::string refused_sentence(const RunTotals& totals) {
  return fmt::format(
      "{} of {} requests {} refused: too long for the context limit or for the KV memory of the "
      "deployment.",
      grouped(totals.refused), grouped(totals.requests), totals.refused == 1 ? "was" : "were");
}

// Memory can bind without anybody waiting for it: what is evicted before it is used again is
// computed again. Worth a sentence when that costs more than a twentieth of the prompt tokens.
std::string reuse_sentence(const RunTotals& totals) {
  constexpr double kWorthSaying = 0.05;
  if (!totals.ideal_hit_rate || totals.prompt_tokens == Tokens{0}) return "";
  if (totals.evicted.total() == Bytes{0}) return "";
  const double hit_rate = static_cast<double>(totals.hit_tokens.value) /
                          static_cast<double>(totals.prompt_tokens.value);
  if (*totals.ideal_hit_rate - hit_rate < kWorthSaying) return "";
  return fmt::format(
      " The cache is too small for what is reused: {:.0f} GiB were evicted, and the hit rate is "
      "{:.1f} % "
      "where an infinite cache would reach {:.1f} %.",
      to_gib(totals.evicted.total()), 100 * hit_rate, 100 * *totals.ideal_hit_rate);
}

}  // namespace

Verdict make_verdict(const RunTotals& totals) {
  const Cause cause = binding_cause(totals);
  const Duration total = total_time(totals.binding);
  Verdict verdict;
  verdict.binding = cause.name;
  verdict.saturated = totals.saturated;
  if (total > Duration{}) {
    verdict.share = static_cast<double>(cause.time.count()) / static_cast<double>(total.count());
  }
  if (totals.refused > 0) verdict.text = refused_sentence(totals) + ' ';
  if (verdict.binding == "none") {
    const std::int64_t ran = totals.requests - totals.refused;
    verdict.text += total == Duration{} || ran <= 0
                        ? "Nothing ran."
                        : fmt::format("What the other {} took says nothing of what binds.",
                                      ran == 1 ? "one" : grouped(ran));
    return verdict;
  }
  const bool queued_beside_idle = !totals.saturated && verdict.binding != "arrivals" &&
                                  mostly_idle(totals.binding) && queued_for_long(totals);
  const bool prefill_waits = totals.saturated || queued_beside_idle ||
                             totals.binding.step_tokens >= totals.binding.nothing_waits_prefill;
  verdict.text += what_binds(verdict, prefill_waits);
  if (totals.saturated) {
    verdict.text +=
        "; the node is saturated: the queue grew as long as requests came, so TTFT says how "
        "long the load lasted";
  }
  if (queued_beside_idle) {
    const double idle =
        static_cast<double>(totals.binding.idle.count()) / static_cast<double>(total.count());
    verdict.text += fmt::format(
        "; the node was idle for {:.0f} %, but when there were requests they waited longer than "
        "they ran",
        100 * idle);
  }
  verdict.text += ". ";
  verdict.text += what_to_try(verdict, prefill_waits, totals.refused > 0);
  verdict.text += reuse_sentence(totals);
  return verdict;
}

}  // namespace v4cap
