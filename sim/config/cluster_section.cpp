#include "sim/config/cluster_section.h"

#include <algorithm>

#include "sim/cluster/fault.h"
#include "sim/cluster/router.h"
#include "sim/cluster/scaling.h"
#include "sim/config/scenario_parts.h"
#include "sim/config/value.h"

namespace v4cap {

namespace {

constexpr std::int64_t kReplicasMax = 10'000;
constexpr std::int64_t kRetriesMax = 1000;
constexpr Duration kLongest = std::chrono::hours(24 * 365);
constexpr Duration kInstant{1};

const std::vector<KeySpec>& retry_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("limit", "how often a request that was lost is sent again")
          .within(0, kRetriesMax),
      key<Duration>("delay", "until it is noticed that it was lost"),
      choice_key(
          "where",
          [] {
            return Names{"elsewhere", "on_return"};
          },
          "on_return: to the replica that had it, when that is back")};
  return keys;
}

const std::vector<KeySpec>& autoscale_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("policy", "how many replicas are wanted; name or name=argument")
          .such_as(&ScalingRegistry::names),
      key<std::int64_t>("min", "fewest replicas").within(1, kReplicasMax),
      key<std::int64_t>("max", "most replicas").within(1, kReplicasMax).must(),
      key<Duration>("start_up", "from the decision until a replica takes requests"),
      key<Duration>("interval", "between two decisions"),
      key<Duration>("hold", "fewer replicas only when fewer were wanted for so long")};
  return keys;
}

const std::vector<KeySpec>& fault_keys() {
  static const std::vector<KeySpec> keys = {
      choice_key("kind", &FaultKinds::names, "what happens").must(),
      key<Duration>("at", "after the first arrival; or mtbf"),
      key<Duration>("mtbf", "at random: mean time between two on one replica"),
      key<Duration>("for", "how long it lasts").must(),
      key<std::int64_t>("replica", "with at: which, from 0").within(0, kReplicasMax),
      key<std::int64_t>("rank", "of faults of a rank: which, from 0").within(0, kReplicasMax),
      key<double>("factor", "slow_rank: of the time of its part of a step").within(1, 1000)};
  return keys;
}

AutoscaleConfig read_autoscale(Section section) {
  AutoscaleConfig a;
  a.policy = read_name(section, "policy", a.policy);
  const auto replicas = between<std::int64_t>(1, kReplicasMax);
  a.min = section.optional<std::int64_t>("min", 1, replicas);
  a.max = section.required<std::int64_t>("max", between<std::int64_t>(1, kReplicasMax));
  const auto time = between(Duration{0}, kLongest);
  a.start_up = section.optional<Duration>("start_up", std::chrono::seconds(120), time);
  a.interval =
      section.optional<Duration>("interval", std::chrono::seconds(15), between(kInstant, kLongest));
  a.hold = section.optional<Duration>("hold", std::chrono::seconds(300), time);
  if (a.max > 0 && a.min > a.max) {
    section.error("max", "expected at least min (" + std::to_string(a.min) + "), got " +
                             std::to_string(a.max));
  }
  section.reject_unknown();
  return a;
}

// An entry of the list: a document of its own, because a list has no sections.
FaultConfig read_fault(const YamlNode& node, std::int64_t replicas, std::int64_t ranks,
                       const std::string& file, std::string& text) {
  Document document(node, file);
  Section section = document.root(fault_keys);
  FaultConfig f;
  const auto names = FaultKinds::names();
  f.kind = names[section.choice("kind", names, std::nullopt)];
  const FaultKind& kind = *FaultKinds::find(f.kind);
  f.lasts = section.required<Duration>("for", between(kInstant, kLongest));
  if (section.has("mtbf") == section.has("at")) {
    section.error("at", "expected either at (once, at that time) or mtbf (at random)");
  }
  text = "{kind: " + f.kind + ", for: " + value_text(f.lasts);
  if (section.has("at")) {
    f.at = section.required<Duration>("at", between(Duration{0}, kLongest));
    f.replica =
        section.optional<std::int64_t>("replica", 0, between<std::int64_t>(0, replicas - 1));
    text += ", at: " + value_text(*f.at) + ", replica: " + std::to_string(f.replica);
  } else if (section.has("mtbf")) {
    f.mtbf = section.required<Duration>("mtbf", between(kInstant, kLongest));
    text += ", mtbf: " + value_text(f.mtbf);
  }
  if (kind.of_rank) {
    f.rank = section.optional<std::int64_t>("rank", 0, between<std::int64_t>(0, ranks - 1));
    text += ", rank: " + std::to_string(f.rank);
  }
  if (kind.has_factor) {
    f.factor = section.required<double>("factor", between(1.0, 1000.0));
    text += ", factor: " + value_text(f.factor);
  }
  text += '}';
  section.reject_unknown();
  document.checkpoint();
  return f;
}

std::vector<FaultConfig> read_faults(Section& section, std::int64_t replicas, std::int64_t ranks,
                                     const std::string& file) {
  std::vector<FaultConfig> out;
  const YamlNode* list = section.node("faults");
  if (list == nullptr || list->kind == YamlNode::Kind::invalid) return out;
  if (list->kind != YamlNode::Kind::list) {
    section.error("faults", "expected a list of faults, got " + shown(*list));
    return out;
  }
  std::string all;
  for (const YamlNode& node : list->children) {
    try {
      std::string text;
      out.push_back(read_fault(node, replicas, ranks, file, text));
      all += (all.empty() ? "" : ", ") + text;
    } catch (const InputError& error) {
      section.add_errors(error);
    }
  }
  section.record("faults", '[' + all + ']');
  return out;
}

}  // namespace

const std::vector<KeySpec>& cluster_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("replicas", "of the deployment, at the begin").within(1, kReplicasMax),
      key<std::string>("router", "which replica takes a request; name or name=argument")
          .such_as(&RouterRegistry::names),
      section_key("retry", retry_keys, "what becomes of requests of a replica that is lost"),
      key<Duration>("window", "width of the windows of figures over time"),
      section_key("autoscale", autoscale_keys, "replicas are started and shut down with the load"),
      items_key("faults", fault_keys, "what goes wrong, or is done on purpose")};
  return keys;
}

ClusterConfig read_cluster(Section section, std::int64_t ranks, const std::string& file,
                           std::int64_t prefill_replicas) {
  ClusterConfig c;
  if (section.has("autoscale")) c.autoscale = read_autoscale(section.child("autoscale"));
  const std::int64_t most =
      c.autoscale ? std::max<std::int64_t>(c.autoscale->max, 1) : kReplicasMax;
  c.replicas = section.optional<std::int64_t>("replicas", c.autoscale ? c.autoscale->min : 1,
                                              between<std::int64_t>(1, most));
  c.router = read_name(section, "router", c.router);
  Section retry = section.child("retry");
  c.retry_limit = retry.optional<std::int64_t>("limit", 3, between<std::int64_t>(0, kRetriesMax));
  c.retry_delay = retry.optional<Duration>("delay", Duration{0}, between(Duration{0}, kLongest));
  c.retry_on_return =
      retry.one_of<bool>("where", {{"elsewhere", false}, {"on_return", true}}, false);
  if (prefill_replicas > 0 && c.retry_on_return) {
    retry.error("where", "expected elsewhere, prompts are read by replicas of their own (prefill)");
  }
  retry.reject_unknown();
  c.window =
      section.optional<Duration>("window", std::chrono::seconds(60), between(kInstant, kLongest));
  c.faults = read_faults(section, c.most_replicas() + prefill_replicas,
                         std::max<std::int64_t>(ranks, 1), file);
  section.reject_unknown();
  return c;
}

}  // namespace v4cap
