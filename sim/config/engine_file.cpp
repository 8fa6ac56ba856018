#include "sim/config/engine_file.h"

#include <algorithm>
#include <charconv>

#include "sim/config/data_files.h"
#include "sim/config/section.h"

namespace v4cap {

namespace {

// The numbers of "0.5.13" or "2026-08"; empty when the text is no such list.
std::vector<std::int64_t> numbers_of(const std::string& text, char separator) {
  std::vector<std::int64_t> out;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || *at == '-') return {};
    out.push_back(number);
    if (next == end) return out;
    if (*next != separator || next + 1 == end) return {};
    at = next + 1;
  }
  return {};
}

// "0.25.1" of "v0.25.1rc2", "0.5.13" of "0.5.13.post1": builds belong to the release they are named
// after.
std::string release_of(const std::string& text) {
  const std::size_t begin = text.starts_with('v') ? 1 : 0;
  std::size_t end = text.find_first_not_of("0123456789.", begin);
  if (end == std::string::npos) return text.substr(begin);
  const bool suffix = text[end] == '+' || (text[end] >= 'a' && text[end] <= 'z');
  if (!suffix || end == begin) return text;
  if (text[end - 1] == '.') --end;
  return text.substr(begin, end - begin);
}

bool is_release(const std::string& text) {
  return !numbers_of(text, '.').empty();
}

bool is_date(const std::string& text) {
  const auto numbers = numbers_of(text, '-');
  return numbers.size() >= 2 && numbers.front() >= 2000;
}

MemoryRules read_memory_rules(Section section) {
  MemoryRules rules;
  for (const MemoryRule& rule : kMemoryRules) {
    if (section.has(rule.name)) rules[rule.name] = section.required<double>(rule.name);
  }
  section.reject_unknown();
  return rules;
}

FractionRule read_fraction_rule(Section section) {
  FractionRule rule;
  rule.base = section.required<double>("base");
  rule.per_chunk_token = section.required<double>("per_chunk_token");
  rule.least_chunk = section.required<double>("least_chunk");
  rule.per_gpu = section.required<double>("per_gpu");
  rule.graph_batch = section.required<double>("graph_batch");
  rule.graph_batch_small = section.required<double>("graph_batch_small");
  rule.per_graph_batch = section.required<double>("per_graph_batch");
  rule.per_graph_batch_of_ranks = section.required<double>("per_graph_batch_of_ranks");
  rule.small_below_memory = section.required<double>("small_below_memory");
  rule.small_below_width = section.required<double>("small_below_width");
  rule.per_large_graph_batch = section.required<double>("per_large_graph_batch");
  rule.large_graph_batch = section.required<double>("large_graph_batch");
  rule.least_above_memory = section.required<double>("least_above_memory");
  rule.prefill_graphs = section.required<double>("prefill_graphs");
  rule.least = section.required<double>("least");
  rule.deepep = section.required<double>("deepep");
  section.reject_unknown();
  return rule;
}

const std::vector<KeySpec>& fraction_rule_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const auto& [name, meaning] :
         {std::pair{"base", "MiB that every engine keeps"},
          {"per_chunk_token", "MiB for each token of a chunk"},
          {"least_chunk", "tokens of a chunk that are counted at least"},
          {"per_gpu", "MiB for each of the engine's GPUs"},
          {"graph_batch", "largest decode batch of its graphs"},
          {"graph_batch_small", "the same on small GPUs in few"},
          {"per_graph_batch", "MiB for each request of that batch"},
          {"per_graph_batch_of_ranks", "the same with attention ranks, for each of them"},
          {"small_below_memory", "MiB below which a GPU is small"},
          {"small_below_width", "GPUs below which they are few"},
          {"per_large_graph_batch", "MiB for each request of a large batch"},
          {"large_graph_batch", "batch above which it is large"},
          {"prefill_graphs", "MiB of graphs of prefill"},
          {"least", "MiB that large GPUs keep at least"},
          {"least_above_memory", "MiB above which a GPU is large"},
          {"deepep", "MiB more with DeepEP"}}) {
      out.push_back(key<double>(name, meaning).must());
    }
    return out;
  }();
  return keys;
}

// A map from names that nobody here knows to numbers.
const std::vector<KeySpec>& value_keys() {
  static const std::vector<KeySpec> keys = {key<double>("*", "a parameter of the layout")};
  return keys;
}

const std::vector<KeySpec>& draft_token_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("*", "draft tokens of a step with this method").within(1, 64)};
  return keys;
}

const std::vector<KeySpec>& version_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("release", "it holds from this release on, such as 0.26").must(),
      key<std::string>("date", "when that was, such as 2026-07").must(),
      section_key("values", value_keys, "of the layout's parameters"),
      section_key("memory", memory_rule_keys, "where it differs from the engine's"),
      section_key("scheduler", scheduler_keys, "the same"),
      section_key("host", host_keys, "the same")};
  return keys;
}

const std::vector<KeySpec>& engine_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the engine and its layout").must(),
      key<Tokens>("block_tokens", "tokens of a cached block").within(1, 65536).must(),
      key_or<double>("memory_fraction", "rule",
                     "default share of a GPU's memory; rule: by fraction_rule")
          .within(0, 1),
      section_key("fraction_rule", fraction_rule_keys, "with memory_fraction: rule"),
      section_key("memory", memory_rule_keys, "what a GPU holds before the KV cache"),
      key<Tokens>("step_tokens", "default token budget of a step").within(1, {}).must(),
      key<Tokens>("step_tokens_large", "the same on large GPUs").within(1, {}),
      key<Bytes>("large_gpu", "memory from which a GPU is large"),
      key<std::int64_t>("max_running", "default cap on running requests")
          .within(1, 1'000'000)
          .must(),
      key<std::int64_t>("max_running_large", "the same on large GPUs").within(1, 1'000'000),
      key<bool>("ranks_share", "true: attention ranks share max_running and step_tokens"),
      key<Tokens>("uncut_tokens", "counted for a chunk where prompts are not cut").within(1, {}),
      section_key("draft_tokens", draft_token_keys, "draft tokens by method"),
      section_key("scheduler", scheduler_keys, "numbers of the engine's own scheduler"),
      section_key("host", host_keys, "what its host costs"),
      items_key("versions", version_keys, "oldest first, at least one").must()};
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("engine", {"an engine by version: memory, scheduler, host", engine_keys});

// One entry of `versions`: a document of its own, because a list has no sections.
// `scheduler`: of the engine's own one, nullptr where it has none.
EngineVersion read_version(const YamlNode& node, const std::string& path, const std::string& file,
                           const SchedulerTraits* scheduler) {
  Document document(node, file);
  Section section = document.root(version_keys, path);
  EngineVersion version;
  version.release = section.required<std::string>("release");
  version.date = section.required<std::string>("date");
  if (!is_release(version.release)) {
    section.error("release", "expected numbers such as 0.26, got " + shown(version.release));
  }
  if (!is_date(version.date)) {
    section.error("date", "expected year and month such as 2026-07, got " + shown(version.date));
  }
  Section values = section.child("values");
  if (const YamlNode* map = node.find("values"); map != nullptr) {
    for (const YamlNode& entry : map->children) {
      version.values[entry.key] = values.required<double>(entry.key);
    }
  }
  version.memory = read_memory_rules(section.child("memory"));
  if (scheduler != nullptr) {
    version.scheduler = read_scheduler(section.child("scheduler"), *scheduler);
  }
  version.host = read_host_stated(section.child("host"));
  section.reject_unknown();
  document.checkpoint();
  return version;
}

std::map<std::string, std::int64_t> read_draft_tokens(Section section, const YamlNode* map) {
  std::map<std::string, std::int64_t> out;
  if (map == nullptr) return out;
  for (const YamlNode& entry : map->children) {
    out[entry.key] = section.required<std::int64_t>(entry.key, between<std::int64_t>(1, 64));
  }
  return out;
}

void read_versions(const YamlNode* list, EngineData& engine) {
  const SchedulerTraits* scheduler =
      engine.scheduler ? SchedulerTraitsRegistry::find(engine.name) : nullptr;
  if (list == nullptr || list->kind != YamlNode::Kind::list || list->children.empty()) {
    throw InputError(list == nullptr ? Place{engine.file} : list->place,
                     "versions: expected a list of versions, oldest first");
  }
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    const YamlNode& node = list->children[i];
    EngineVersion version =
        read_version(node, "versions[" + std::to_string(i) + ']', engine.file, scheduler);
    if (!engine.versions.empty() &&
        (compare_versions(engine.versions.back().release, version.release).value_or(0) >= 0 ||
         compare_versions(engine.versions.back().date, version.date).value_or(0) > 0)) {
      throw InputError(node.place, "versions: expected the oldest first, got " +
                                       shown(version.release) + " after " +
                                       shown(engine.versions.back().release));
    }
    engine.versions.push_back(std::move(version));
  }
}

}  // namespace

const std::vector<KeySpec>& memory_rule_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const MemoryRule& rule : kMemoryRules) out.push_back(key<double>(rule.name, rule.meaning));
    return out;
  }();
  return keys;
}

EngineSettings settle_engine(const EngineData& engine, Bytes gpu_memory, const EngineWidths& widths,
                             Tokens longest, const EngineStated& stated) {
  const std::int64_t sharing = engine.ranks_share ? widths.data_parallel : 1;
  const auto of_rank = [&](std::int64_t whole) {
    return std::max<std::int64_t>(1, whole / sharing);
  };
  const bool large = gpu_memory >= engine.large_gpu;
  EngineSettings out;
  out.max_running =
      of_rank(stated.max_running.value_or(large ? engine.max_running_large : engine.max_running));
  out.chunk = stated.chunk.value_or(large ? engine.step_tokens_large : engine.step_tokens);
  const bool uncut = out.chunk.value == 0;
  out.step_tokens = uncut ? longest : Tokens{of_rank(out.chunk.value)};
  // The rule sees the chunk before ranks share it.
  out.memory_fraction = engine.memory_fraction.value_or(default_memory_fraction(
      engine.fraction_rule, gpu_memory, widths, uncut ? engine.uncut_tokens : out.chunk));
  return out;
}

std::optional<int> compare_versions(const std::string& a, const std::string& b) {
  for (const char separator : {'.', '-'}) {
    const auto x = numbers_of(a, separator), y = numbers_of(b, separator);
    if (x.empty() || y.empty()) continue;
    return x < y ? -1 : (x > y ? 1 : 0);
  }
  return std::nullopt;
}

const EngineVersion* EngineData::find(const std::string& given) const {
  if (given == "main" || given == "nightly") return &versions.back();
  const std::string text = is_date(given) ? given : release_of(given);
  const bool by_date = is_date(text);
  if (!by_date && !is_release(text)) return nullptr;
  const EngineVersion* found = &versions.front();
  for (const EngineVersion& version : versions) {
    if (compare_versions(by_date ? version.date : version.release, text).value_or(1) <= 0) {
      found = &version;
    }
  }
  return found;
}

std::string EngineData::beyond(const std::string& given) const {
  const std::string text = is_date(given) ? given : release_of(given);
  const bool by_date = is_date(text);
  if (!by_date && !is_release(text)) return "";
  const auto order = [&](const EngineVersion& version) {
    return compare_versions(text, by_date ? version.date : version.release).value_or(0);
  };
  const EngineVersion& newest = versions.back();
  if (order(newest) > 0 &&
      !text.starts_with((by_date ? newest.date : newest.release) + (by_date ? '-' : '.'))) {
    return "the newest rules known are " + newest.release + "'s";
  }
  if (order(versions.front()) < 0) {
    return "the oldest rules known are " + versions.front().release + "'s";
  }
  return "";
}

MemoryRules memory_rules(const EngineData& engine, const EngineVersion& version) {
  MemoryRules rules = version.memory;
  rules.insert(engine.memory.begin(), engine.memory.end());
  return rules;
}

SchedulerStated scheduler_of(const EngineData& engine, const EngineVersion& version) {
  return overlaid(*engine.scheduler, version.scheduler);
}

HostStated host_of(const EngineData& engine, const EngineVersion& version) {
  return overlaid(engine.host, version.host);
}

std::optional<EngineData> load_engine(const std::string& name, const std::string& scenario_dir) {
  const std::vector<std::string> known = data_names(DataKind::engine, scenario_dir);
  if (std::ranges::find(known, name) == known.end()) return std::nullopt;
  EngineData engine;
  engine.file = find_data_file(DataKind::engine, name, scenario_dir, Place{});
  YamlNode root = parse_yaml(read_text_file(engine.file), engine.file);
  const YamlNode whole = root;
  Document document(std::move(root), engine.file);
  Section section = document.root(engine_keys);
  engine.name = section.required<std::string>("name");
  engine.block = section.required<Tokens>("block_tokens", between(Tokens{1}, Tokens{65536}));
  engine.memory_fraction =
      section.optional_or<double>("memory_fraction", "rule", above_up_to(0.0, 1.0));
  if (!engine.memory_fraction) {
    engine.fraction_rule = read_fraction_rule(section.child("fraction_rule", true));
  }
  engine.memory = read_memory_rules(section.child("memory"));
  const auto step = at_least(Tokens{1});
  engine.step_tokens = section.required<Tokens>("step_tokens", step);
  engine.step_tokens_large =
      section.optional<Tokens>("step_tokens_large", engine.step_tokens, step);
  engine.large_gpu = section.optional<Bytes>("large_gpu", Bytes{0});
  engine.max_running =
      section.required<std::int64_t>("max_running", between<std::int64_t>(1, 1'000'000));
  engine.max_running_large = section.optional<std::int64_t>("max_running_large", engine.max_running,
                                                            between<std::int64_t>(1, 1'000'000));
  engine.ranks_share = section.optional<bool>("ranks_share", false);
  engine.uncut_tokens = section.optional<Tokens>("uncut_tokens", engine.step_tokens_large, step);
  engine.draft_tokens =
      read_draft_tokens(section.child("draft_tokens"), whole.find("draft_tokens"));
  const SchedulerTraits* scheduler = SchedulerTraitsRegistry::find(engine.name);
  if (scheduler != nullptr && section.has("scheduler")) {
    engine.scheduler = read_scheduler(section.child("scheduler"), *scheduler);
  }
  engine.host = read_host_stated(section.child("host"));
  section.node("versions");
  section.reject_unknown();
  document.checkpoint();
  read_versions(whole.find("versions"), engine);
  return engine;
}

EngineData known_engine(const std::string& name) {
  std::optional<EngineData> engine = load_engine(name, "");
  if (engine) return *std::move(engine);
  throw InputError(Place{"engines/" + name + ".yaml"}, "expected the file of the engine");
}

}  // namespace v4cap
