// What the readers take and what the schemas say are one thing: every file that comes with the
// program is as its schema has it, with no key to spare, and no key is declared that nothing reads.
#include "sim/output/json_schema.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "sim/config/scenario_file.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/output/json_schema_check.h"

using namespace v4cap;

namespace {

namespace fs = std::filesystem;

const std::string kScenarios = std::string(V4CAP_SOURCE_DIR) + "/scenarios";

YamlNode schema_of(const std::string& kind) {
  return parse_yaml(json_schema(kind, *FileKinds::find(kind)), kind);
}

YamlNode file_of(const std::string& path) {
  return parse_yaml(read_text_file(path), path);
}

// Shipped files of a kind, sorted. What is a question has a workload, a plan has a load, and a sweep
// has axes alone.
bool is_of(const YamlNode& file, const std::string& kind) {
  const auto has = [&](const char* key) { return file.find(key) != nullptr; };
  if (kind == "plan") return has("load");
  return kind == "sweep" ? has("axes") && !has("load") : has("workload");
}

std::vector<std::string> shipped(const std::string& kind) {
  const std::map<std::string, std::string> folders = {{"model", "/models"},
                                                      {"hardware", "/hardware"},
                                                      {"engine", "/engines"},
                                                      {"profile", "/profiles"}};
  std::vector<std::string> paths;
  const auto folder = folders.find(kind);
  const std::string from = kScenarios + (folder == folders.end() ? "" : folder->second);
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string path = entry.path().string();
    if (folder == folders.end() && !is_of(file_of(path), kind)) continue;
    paths.push_back(path);
  }
  std::ranges::sort(paths);
  return paths;
}

std::string starter() {
  return run_v4cap({"init"}).out;
}

// Calls `visit` for every map of properties in a schema, in document order.
template <class Visit>
void each_properties(YamlNode& schema, const Visit& visit) {
  for (YamlNode& child : schema.children) {
    if (child.key == "properties") visit(child);
    each_properties(child, visit);
  }
}

// Dotted paths of keys that `--set` can reach, from declarations.
void reachable(const std::vector<KeySpec>& keys, const std::string& path,
               std::vector<std::pair<std::string, const KeySpec*>>& out) {
  for (const KeySpec& spec : keys) {
    if (spec.name == "*") continue;
    const std::string here = path + spec.name;
    out.emplace_back(here, &spec);
    if (spec.kind == ValueKind::section && !spec.list) reachable(spec.section(), here + '.', out);
    for (const KeySpec& other : spec.or_another) {
      if (other.kind == ValueKind::section && !other.list) {
        reachable(other.section(), here + '.', out);
      }
    }
  }
}

// Does reading `text` with the key set say that it does not know the key?
bool is_unknown(const std::string& text, const std::string& label, const std::string& path,
                const KeySpec& spec) {
  const bool map = spec.kind == ValueKind::section && !spec.list;
  ScenarioOptions options;
  options.set = {path + (map ? "={}" : spec.kind == ValueKind::text ? "=constant" : "=1")};
  options.find_traces = false;
  try {
    parse_scenario(text, label, options);
  } catch (const InputError& error) {
    return std::string(error.what()).find("unknown key '" + spec.name + "'") != std::string::npos;
  }
  return false;
}

// Questions that between them take every branch of the readers.
std::vector<std::string> questions() {
  std::vector<std::string> out = {starter()};
  for (const std::string& path : shipped("scenario")) out.push_back(read_text_file(path));
  const std::string top = "model: deepseek-v4-pro\nhardware: hgx-b200\n";
  for (const std::string layout : {"vllm", "sglang", "trtllm"}) {
    out.push_back(top + "kv_cache: {layout: " + layout + "}\nworkload: {trace: t}\n");
  }
  for (const std::string kind : {"constant", "uniform", "lognormal", "exponential", "table"}) {
    out.push_back(top + "workload: {synthetic: {sessions: 1, turns_max: 2, first_prompt: {kind: " +
                  kind + "}, next_prompt: {kind: " + kind + "}, output: {kind: " + kind +
                  "}, arrivals: " + (kind == "table" ? "table" : "gamma") + "}}\n");
  }
  return out;
}

}  // namespace

TEST_CASE("every file that comes with v4cap is as its schema has it") {
  for (const std::string& kind : FileKinds::names()) {
    const YamlNode schema = schema_of(kind);
    const auto files = shipped(kind);
    CHECK(files.size() >= (kind == "sweep" ? 1U : 3U));
    for (const std::string& path : files) {
      CAPTURE(path);
      CHECK(SchemaCheck::refusal(schema, file_of(path)) == "");
    }
  }
  CHECK(SchemaCheck::refusal(schema_of("scenario"), parse_yaml(starter(), "starter")) == "");
}

TEST_CASE("a resolved scenario is as the schema has it") {
  const YamlNode schema = schema_of("scenario");
  ScenarioOptions options;
  options.find_traces = false;
  for (const std::string& path : shipped("scenario")) {
    CAPTURE(path);
    const std::string resolved = load_scenario(path, options).resolved_yaml;
    CHECK(SchemaCheck::refusal(schema, parse_yaml(resolved, "resolved")) == "");
  }
}

TEST_CASE("without any one key of its schema some shipped file is refused, if one has the key") {
  for (const std::string& kind : FileKinds::names()) {
    if (kind == "profile") continue;  // 15 files of the same keys
    std::vector<YamlNode> files;
    for (const std::string& path : shipped(kind)) files.push_back(file_of(path));
    YamlNode schema = schema_of(kind);
    const auto refused = [&] {
      return std::ranges::count_if(
          files, [&](const YamlNode& file) { return !SchemaCheck::refusal(schema, file).empty(); });
    };
    for (const KeySpec& spec : FileKinds::find(kind)->keys()) {
      const auto having = std::ranges::count_if(
          files, [&](const YamlNode& file) { return file.find(spec.name) != nullptr; });
      YamlNode& properties = *schema.find("properties");
      const YamlNode whole = properties;
      std::erase_if(properties.children, [&](const YamlNode& one) { return one.key == spec.name; });
      CAPTURE(kind);
      CAPTURE(spec.name);
      CHECK(refused() == having);
      properties = whole;
    }
    // Deeper: without all keys of any map that a file has filled in, that file is refused.
    std::size_t emptied = 0;
    each_properties(schema, [&](YamlNode& properties) {
      YamlNode whole = YamlNode::made(YamlNode::Kind::map, {});
      std::swap(whole.children, properties.children);
      emptied += refused() > 0 ? 1 : 0;
      std::swap(whole.children, properties.children);
    });
    const std::map<std::string, std::size_t> least = {{"hardware", 5}, {"plan", 6}, {"sweep", 2}};
    CHECK(emptied >= (least.contains(kind) ? least.at(kind) : 6U));
  }
}

TEST_CASE("every key that is declared for a scenario is one that its reader knows") {
  const std::vector<std::string> texts = questions();
  std::vector<std::pair<std::string, const KeySpec*>> keys;
  reachable(FileKinds::find("scenario")->keys(), "", keys);
  CHECK(keys.size() > 180);
  for (const auto& [path, spec] : keys) {
    CAPTURE(path);
    CHECK(std::ranges::any_of(texts, [&, path = path, spec = spec](const std::string& text) {
      return !is_unknown(text, "question", path, *spec);
    }));
  }
}

TEST_CASE("a schema refuses what its reader refuses") {
  const YamlNode schema = schema_of("scenario");
  const std::string rest = "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t}\n";
  const auto refused = [&](const std::string& more) {
    return SchemaCheck::refusal(schema, parse_yaml(rest + more, "f"));
  };
  CHECK(refused("") == "");
  CHECK(refused("kv_cache: {swa_polcy: full}\n") == ".kv_cache.swa_polcy: unknown key");
  CHECK(refused("kv_cache: {memory: 46}\n") == ".kv_cache.memory: not anyOf");
  CHECK(refused("kv_cache: {memory: 46 GiB}\n") == "");
  CHECK(refused("kv_cache: {memory: auto}\n") == "");
  CHECK(refused("kv_cache: {tails: kept}\n") == ".kv_cache.tails: not enum");
  CHECK(refused("kv_cache: {swa_policy: checkpoint=2048}\n") == "");
  CHECK(refused("kv_cache: {block_tokens: many}\n") == ".kv_cache.block_tokens: not type");
  CHECK(refused("kv_cache: {block_tokens: 0}\n") == ".kv_cache.block_tokens: not minimum");
  CHECK(refused("kv_cache: {memory_fraction: 1.5}\n") == ".kv_cache.memory_fraction: not maximum");
  CHECK(refused("slo: {ttft_p99: 5 sec}\n") == ".slo.ttft_p99: not anyOf");
  CHECK(refused("engine: {expert_imbalance: [{factor: 1, part: 1}]}\n") ==
        ".engine.expert_imbalance: not anyOf");
  CHECK(SchemaCheck::refusal(schema, parse_yaml("model: deepseek-v4-pro\n", "f")) ==
        ": not required");
}

TEST_CASE("names that register themselves are in the schema") {
  const std::string text = json_schema("scenario", *FileKinds::find("scenario"));
  for (const std::string name : {"deepseek-v4-pro", "hgx-b200", "checkpoint", "sglang", "fcfs",
                                 "prefix_affinity", "b200-vllm-0.24.0", "closed_loop"}) {
    CAPTURE(name);
    CHECK(text.find('"' + name + '"') != std::string::npos);
  }
}

TEST_CASE("v4cap schema prints one kind of file and refuses others") {
  CHECK(run_v4cap({"schema"}).out == json_schema("scenario", *FileKinds::find("scenario")));
  CHECK(run_v4cap({"schema", "engine"}).out == json_schema("engine", *FileKinds::find("engine")));
  const ProgramRun wrong = run_v4cap({"schema", "engin"});
  CHECK(wrong.code == ExitCode::bad_input);
  CHECK(wrong.err.find("did you mean 'engine'?") != std::string::npos);
}
