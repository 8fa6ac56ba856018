#include "sim/config/prefill_section.h"

#include <algorithm>
#include <string>

#include "sim/cluster/router.h"
#include "sim/config/scenario_keys.h"
#include "sim/config/scenario_parts.h"
#include "sim/transfer/links.h"

namespace v4cap {

namespace {

constexpr std::int64_t kRoomMax = 1'000'000'000;

// What of a scenario may be another one where prompts are read.
constexpr const char* kOwn[] = {"hardware", "deployment", "engine", "kv_cache", "profile"};

const std::vector<KeySpec>& transfer_keys() {
  static const std::vector<KeySpec> keys = {
      key<BytesPerSecond>("bandwidth", "of one GPU's network card, in each direction").must(),
      key<Duration>("latency", "before the first byte"),
      choice_key(
          "overlap",
          [] {
            return Names{"none", "chunks", "layers"};
          },
          "when state is sent. none: when the prompt is read; chunks: after each step of it; "
          "layers: during the step"),
      key<bool>("reuse", "true: entries that are cached where it goes are not sent again"),
      key<Tokens>("room_tokens",
                  "by which each request must be able to grow before one more is taken")};
  return keys;
}

std::string flow_text(const YamlNode& node) {
  std::string out;
  switch (node.kind) {
    case YamlNode::Kind::map:
      for (const YamlNode& entry : node.children) {
        out += (out.empty() ? "" : ", ") + yaml_scalar(entry.key) + ": " + flow_text(entry);
      }
      return '{' + out + '}';
    case YamlNode::Kind::list:
      for (const YamlNode& item : node.children) out += (out.empty() ? "" : ", ") + flow_text(item);
      return '[' + out + ']';
    case YamlNode::Kind::scalar: {
      const bool plain = !node.quoted && node.text.find_first_of(",[]{}#:") == std::string::npos;
      return plain ? node.text : yaml_scalar(node.text);
    }
    case YamlNode::Kind::null:
    case YamlNode::Kind::invalid:
      break;
  }
  return "null";
}

void remove(YamlNode& map, const std::string& key) {
  std::erase_if(map.children, [&](const YamlNode& entry) { return entry.key == key; });
}

}  // namespace

const std::vector<KeySpec>& prefill_pool_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("replicas", "that read prompts").within(1, 10'000),
      key<std::string>("router", "which of them takes a request; name or name=argument")
          .such_as(&RouterRegistry::names),
      section_key("transfer", transfer_keys, "of state, to the replicas that generate").must()};
  return keys;
}

PrefillConfig read_prefill(Section& section) {
  PrefillConfig config;
  config.replicas = section.optional<std::int64_t>("replicas", 1, between<std::int64_t>(1, 10'000));
  config.router = read_name(section, "router", config.router);
  Section transfer = section.child("transfer", true);
  // The links of a rank are as many times as fast as it has GPUs.
  const auto bandwidth = between(BytesPerSecond{kLeastBandwidth},
                                 BytesPerSecond{kMostBandwidth / static_cast<double>(kWidest)});
  TransferConfig& t = config.transfer;
  t.bytes_per_s = transfer.required<BytesPerSecond>("bandwidth", bandwidth).value;
  t.latency =
      transfer.optional<Duration>("latency", t.latency, between(Duration{0}, kLongestLatency));
  t.overlap = transfer.one_of<TransferOverlap>("overlap",
                                               {{"none", TransferOverlap::none},
                                                {"chunks", TransferOverlap::chunks},
                                                {"layers", TransferOverlap::layers}},
                                               t.overlap);
  t.reuse = transfer.optional<bool>("reuse", t.reuse);
  t.room = transfer.optional<Tokens>("room_tokens", t.room, between(Tokens{0}, Tokens{kRoomMax}));
  transfer.reject_unknown();
  for (const char* key : kOwn) section.node(key);
  section.reject_unknown();
  return config;
}

YamlNode prefill_scenario(const YamlNode& scenario) {
  YamlNode own = scenario;
  const YamlNode* prefill = scenario.find("prefill");
  for (const char* key : {"prefill", "cluster", "expect"}) remove(own, key);
  // Times of one GPU are not another's.
  if (prefill->find("hardware") != nullptr) remove(own, "profile");
  for (const char* key : kOwn) {
    const YamlNode* given = prefill->find(key);
    if (given == nullptr) continue;
    if (YamlNode* there = own.find(key)) {
      *there = *given;
    } else {
      own.children.push_back(*given);
    }
  }
  return own;
}

void record_prefill(Section& section, const std::string& resolved) {
  const YamlNode tree = parse_yaml(resolved, "resolved");
  for (const char* key : kOwn) {
    if (!section.has(key)) continue;
    if (const YamlNode* value = tree.find(key)) section.record(key, flow_text(*value));
  }
}

}  // namespace v4cap
