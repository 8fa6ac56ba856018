#include "sim/config/cluster_section.h"

#include <algorithm>

#include "sim/cluster/fault.h"
#include "sim/cluster/router.h"
#include "sim/cluster/scaling.h"
#include "sim/config/scenario_parts.h"
#include "sim/config/tiers_section.h"
#include "sim/config/value.h"
#include "sim/transfer/links.h"

namespace v4cap {

namespace {

constexpr std::int64_t kReplicasMax = 10'000;
constexpr std::int64_t kRetriesMax = 1000;
constexpr Duration kLongest = std::chrono::hours(24 * 365);
constexpr Duration kInstant{1};

const std::vector<KeySpec>& retry_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("limit", "how often a request that was lost, or its state, is sent again")
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

// Links of a tier: both, or that of one direction.
Names links_of(const Names& tiers) {
  Names names;
  for (const std::string& tier : tiers) {
    for (const char* direction : {"", " read", " write"}) names.push_back(tier + direction);
  }
  return names;
}

Names link_names() {
  Names names = links_of(tier_names());
  names.emplace_back(kTransferLinks);
  return names;
}

const std::vector<KeySpec>& fault_keys() {
  static const std::vector<KeySpec> keys = {
      choice_key("kind", &FaultKinds::names, "what happens").must(),
      key<Duration>("at", "after the first arrival; or mtbf"),
      key<Duration>("mtbf", "at random: mean time between two on one replica"),
      key<Duration>("for", "how long it lasts").must(),
      key_or<std::int64_t>("replica", "all", "with at: which, from 0").within(0, kReplicasMax),
      key<std::int64_t>("rank", "of faults of a rank: which, from 0").within(0, kReplicasMax),
      key<double>("factor", "slow_rank: of the time of its part of a step").within(1, 1000),
      key<std::string>("tier", "lost_tier: which of kv_cache.tiers").such_as(&tier_names),
      key<std::string>("link",
                       "slow_link: of which tier, one direction: host read, host write; transfer: "
                       "those over which replicas hand requests over")
          .such_as(&link_names),
      key<double>("share", "slow_link: of its bandwidth that is left").within(0, 1)};
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

// What faults may strike.
struct Struck {
  std::int64_t replicas = 1, ranks = 1;
  const TiersConfig& below;
  const PrefillConfig* prefill = nullptr;  // null: each replica reads the prompts of its requests
};

// One of what the scenario's tiers are called, or their links.
std::string read_place(Section& section, const std::string& key, const std::string& what,
                       const std::string& lacks, const Names& names) {
  const auto name = section.required<std::string>(key);
  if (name.empty() || std::ranges::find(names, name) != names.end()) return name;
  std::string all;
  for (const std::string& one : names) all += (all.empty() ? "" : ", ") + one;
  section.error(key, names.empty() ? "expected none, the scenario has no " + lacks
                                   : "expected " + what + " (" + all + "), got " + shown(name) +
                                         suggestion(name, names));
  return name;
}

// Links may become slow, but not so slow that shares of them could be rounded to nothing.
double read_share(Section& section, const FaultConfig& fault, const Struck& there) {
  const auto share = section.required<double>("share", above_up_to(0.0, 1.0));
  const auto check = [&](const std::string& what, double bytes_per_s) {
    if (share <= 0 || bytes_per_s * share >= kLeastBandwidth) return;
    section.error("share", "expected a share that leaves at least " +
                               value_text(BytesPerSecond{kLeastBandwidth}) + " of " + what +
                               ", got " + value_text(share));
  };
  for (const TierConfig& tier : there.below.tiers) {
    if (!fault.place.starts_with(tier.name)) continue;
    check("the links of " + tier.name, std::min(tier.read_bytes_per_s, tier.write_bytes_per_s));
  }
  if (fault.place == kTransferLinks && there.prefill != nullptr) {
    check("prefill.transfer.bandwidth", there.prefill->transfer.bytes_per_s);
  }
  return share;
}

// An entry of the list: a document of its own, because a list has no sections.
FaultConfig read_fault(const YamlNode& node, const std::string& path, const Struck& there,
                       const std::string& file, std::string& text) {
  Document document(node, file);
  Section section = document.root(fault_keys, path);
  FaultConfig f;
  f.stated = node.place;
  const auto names = FaultKinds::names();
  f.kind = names[section.choice("kind", names, std::nullopt)];
  document.checkpoint();  // without its kind nobody knows which keys it needs
  const FaultKind& kind = *FaultKinds::find(f.kind);
  f.lasts = section.required<Duration>("for", between(kInstant, kLongest));
  if (section.has("mtbf") == section.has("at")) {
    section.error("at", "expected either at (once, at that time) or mtbf (at random)");
  }
  text = "{kind: " + f.kind + ", for: " + value_text(f.lasts);
  if (section.has("at")) {
    f.at = section.required<Duration>("at", between(Duration{0}, kLongest));
    if (section.node("replica") != nullptr) {
      f.replica = section.optional_or<std::int64_t>("replica", "all",
                                                    between<std::int64_t>(0, there.replicas - 1));
    }
    text += ", at: " + value_text(*f.at) +
            ", replica: " + (f.replica ? std::to_string(*f.replica) : "all");
  } else if (section.has("mtbf")) {
    f.mtbf = section.required<Duration>("mtbf", between(kInstant, kLongest));
    if (section.node("replica") != nullptr) {
      section.error("replica", "expected none beside mtbf, which strikes each replica by itself");
    }
    text += ", mtbf: " + value_text(f.mtbf);
  }
  if (kind.of_rank) {
    f.rank = section.optional<std::int64_t>("rank", 0, between<std::int64_t>(0, there.ranks - 1));
    text += ", rank: " + std::to_string(f.rank);
  }
  if (kind.has_factor) {
    f.factor = section.required<double>("factor", between(1.0, 1000.0));
    text += ", factor: " + value_text(f.factor);
  }
  Names tiers;
  for (const TierConfig& tier : there.below.tiers) tiers.push_back(tier.name);
  if (kind.of_tier) {
    f.place = read_place(section, "tier", "a tier of kv_cache.tiers", "kv_cache.tiers", tiers);
    text += ", tier: " + yaml_scalar(f.place);
  }
  if (kind.of_link) {
    Names links = links_of(tiers);
    if (there.prefill != nullptr) links.emplace_back(kTransferLinks);
    f.place = read_place(section, "link", "links of kv_cache.tiers or between replicas",
                         "kv_cache.tiers and no section prefill", links);
    text += ", link: " + yaml_scalar(f.place);
  }
  if (kind.has_share) {
    f.share = read_share(section, f, there);
    text += ", share: " + value_text(f.share);
  }
  text += '}';
  section.reject_unknown();
  document.checkpoint();
  return f;
}

std::vector<FaultConfig> read_faults(Section& section, const Struck& there,
                                     const std::string& file) {
  std::vector<FaultConfig> out;
  const YamlNode* list = section.node("faults");
  if (list == nullptr || list->kind == YamlNode::Kind::invalid) return out;
  if (list->kind != YamlNode::Kind::list) {
    section.error("faults", "expected a list of faults, got " + shown(*list));
    return out;
  }
  std::string all;
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    try {
      std::string text;
      out.push_back(read_fault(list->children[i], section.path_of("faults", i), there, file, text));
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

ClusterConfig read_cluster(Section section, std::int64_t ranks, const TiersConfig& below,
                           const std::string& file, const PrefillConfig* prefill) {
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
  if (prefill != nullptr && c.retry_on_return) {
    retry.error("where", "expected elsewhere, prompts are read by replicas of their own (prefill)");
  }
  retry.reject_unknown();
  c.window =
      section.optional<Duration>("window", std::chrono::seconds(60), between(kInstant, kLongest));
  const std::int64_t readers = prefill == nullptr ? 0 : prefill->replicas;
  c.faults = read_faults(
      section, {c.most_replicas() + readers, std::max<std::int64_t>(ranks, 1), below, prefill},
      file);
  section.reject_unknown();
  return c;
}

}  // namespace v4cap
