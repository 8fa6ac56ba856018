#include "sim/config/tiers_section.h"

#include "sim/cache/write_policy.h"
#include "sim/config/scenario_parts.h"
#include "sim/transfer/links.h"

namespace v4cap {

namespace {

constexpr double kTimesMax = 1e6;
constexpr std::int64_t kEveryMax = std::int64_t{1} << 24;  // tokens; far above any context

// From the fastest down; shared by attention ranks unless a scenario says otherwise.
struct TierName {
  const char* name;
  bool shared;
  const char* meaning;
};
constexpr TierName kTiers[] = {
    {"host", false, "host memory"},
    {"ssd", true, "drives of the node"},
    {"remote", true, "a store behind the network"},
};

const std::vector<KeySpec>& tier_keys() {
  static const std::vector<KeySpec> keys = {
      key_or<Bytes>("capacity", "auto",
                    "of one rank, or of all that share it; auto: times_gpu times their KV memory"),
      key<double>("times_gpu", "capacity as a multiple of the KV memory that it stands below")
          .within(0, kTimesMax),
      choice_key(
          "scope",
          [] {
            return Names{"rank", "shared"};
          },
          "rank: one for each attention rank; shared: one for all"),
      choice_key(
          "holds",
          [] {
            return Names{"all", "blocks", "points"};
          },
          "blocks: compressed entries (with the windows that full stores); points: kept windows"),
      key_or<Tokens>("points_every", "block", "of kept windows only those at multiples of it"),
      key_or<Bytes>("point_size", "auto", "bytes of a kept window here; auto: as on the GPU"),
      key<std::string>("write", "what is copied here: write_through, write_back, selective=2, ...")
          .such_as(&WritePolicyRegistry::names),
      key<BytesPerSecond>("read_bandwidth", "towards the GPU").must(),
      key<BytesPerSecond>("write_bandwidth", "away from the GPU").must(),
      key<Duration>("latency", "before the first byte"),
      key_or<Duration>("blocks_live", "forever", "since their last use"),
      key_or<Duration>("points_live", "forever", "since their last use"),
      key_or<Bytes>("drive", "none", "size of the drives, for their wear"),
  };
  return keys;
}

TierConfig read_tier(Section section, const TierName& which) {
  TierConfig tier;
  tier.name = which.name;
  tier.capacity = section.optional_or<Bytes>("capacity", "auto", above(Bytes{0}));
  tier.times_gpu =
      section.optional<double>("times_gpu", tier.times_gpu, above_up_to(0.0, kTimesMax));
  if (tier.capacity && tier.times_gpu != TierConfig{}.times_gpu) {
    section.error("times_gpu", "expected either capacity or times_gpu, got both");
  }
  tier.shared = section.one_of<bool>("scope", {{"rank", false}, {"shared", true}}, which.shared);
  enum class Holds { all, blocks, points };
  const Holds holds = section.one_of<Holds>(
      "holds", {{"all", Holds::all}, {"blocks", Holds::blocks}, {"points", Holds::points}},
      Holds::all);
  tier.blocks = holds != Holds::points;
  tier.points = holds != Holds::blocks;
  tier.points_every =
      section.optional_or<Tokens>("points_every", "block", between(Tokens{1}, Tokens{kEveryMax}));
  tier.point_size = section.optional_or<Bytes>("point_size", "auto", above(Bytes{0}));
  tier.write = read_name(section, "write", tier.write);
  try {
    make_write_policy(tier.write);
  } catch (const InputError& error) {
    section.error("write", error.diagnostics().front().message);
  }
  const auto bandwidth = between(BytesPerSecond{kLeastBandwidth}, BytesPerSecond{kMostBandwidth});
  tier.read_bytes_per_s = section.required<BytesPerSecond>("read_bandwidth", bandwidth).value;
  tier.write_bytes_per_s = section.required<BytesPerSecond>("write_bandwidth", bandwidth).value;
  tier.latency =
      section.optional<Duration>("latency", tier.latency, between(Duration{0}, kLongestLatency));
  tier.blocks_live = section.optional_or<Duration>("blocks_live", "forever", above(Duration{0}));
  tier.points_live = section.optional_or<Duration>("points_live", "forever", above(Duration{0}));
  tier.drive = section.optional_or<Bytes>("drive", "none", above(Bytes{0}));
  section.reject_unknown();
  return tier;
}

}  // namespace

const std::vector<KeySpec>& tiers_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const TierName& tier : kTiers) {
      out.push_back(section_key(tier.name, tier_keys, tier.meaning));
    }
    out.push_back(choice_key(
        "load",
        [] {
          return Names{"layered", "whole"};
        },
        "layered: a request starts when the first layers of its prefix are there"));
    return out;
  }();
  return keys;
}

Names tier_names() {
  Names names;
  for (const TierName& tier : kTiers) names.emplace_back(tier.name);
  return names;
}

TiersConfig read_tiers(Section section) {
  TiersConfig config;
  for (const TierName& tier : kTiers) {
    if (section.node(tier.name) != nullptr)
      config.tiers.push_back(read_tier(section.child(tier.name), tier));
  }
  config.layered =
      section.one_of<bool>("load", {{"layered", true}, {"whole", false}}, config.layered);
  section.reject_unknown();
  return config;
}

}  // namespace v4cap
