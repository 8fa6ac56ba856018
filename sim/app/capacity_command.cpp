// v4cap capacity SCENARIO: what fits into the memory of a node, per SWA policy, without any
// traffic: bytes per token and per running request by cache kind, tokens, and sequences of given
// lengths.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>

#include "sim/app/command.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/capacity.h"
#include "sim/cluster/run_scenario.h"
#include "sim/model/node_memory.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr std::int64_t kLengths[] = {4096, 16384, 65536, 262144, 1048576};

// A scenario under one policy, with the engine that owns layout and policy.
struct Option {
  Scenario scenario;
  std::unique_ptr<Engine> engine;
  Capacity capacity;

  explicit Option(Scenario s)
      : scenario(std::move(s)),
        engine(make_engine(scenario)),
        capacity(engine->cache().layout(), engine->cache().policy(), scenario.kv_cache.block) {}
};

Bytes kv_memory(const Layout& layout) {
  Bytes sum;
  for (const PoolSpec& pool : layout.pools()) sum += pool.capacity;
  return sum;
}

std::int64_t replicas_per_node(const Scenario& s) {
  return std::max<std::int64_t>(1, s.hardware.gpus_per_node / s.deployment.tensor_parallel);
}

std::vector<Tokens> lengths_up_to(Tokens longest) {
  std::vector<Tokens> out;
  for (const std::int64_t n : kLengths) {
    if (n <= longest.value) out.push_back(Tokens{n});
  }
  return out;
}

class CapacityCommand final : public Command {
 public:
  std::string summary() const override {
    return "what fits in memory: bytes by cache kind, tokens and sequences, per SWA policy";
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", file_, "scenario file (YAML)")->required();
    app.add_option("--compare", policies_,
                   "SWA policies to show beside the scenario's (default: full, checkpoint=2048 "
                   "and recompute)")
        ->expected(1, 64);
  }

  ExitCode run(CommandContext& context) override {
    const std::vector<Option> options = load(context);
    if (context.options.json) {
      context.out << json(options) << '\n';
    } else {
      const TextStyle style =
          text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
      context.out << text(options, style);
    }
    return ExitCode::done;
  }

 private:
  // The scenario as it is first, then once for every other policy.
  std::vector<Option> load(const CommandContext& context) const {
    std::vector<std::string> wanted = policies_;
    if (wanted.empty()) wanted = {"full", "checkpoint=2048", "recompute"};
    ScenarioOptions options = scenario_options(context.options);
    options.find_traces = false;  // nothing here depends on traffic
    std::vector<Option> out;
    out.emplace_back(load_checked_scenario(file_, options));
    std::vector<std::string> shown = {out.front().scenario.kv_cache.swa_policy};
    for (const std::string& policy : wanted) {
      if (std::find(shown.begin(), shown.end(), policy) != shown.end()) continue;
      shown.push_back(policy);
      ScenarioOptions one = options;
      one.set.push_back("kv_cache.swa_policy=" + policy);
      out.emplace_back(load_checked_scenario(file_, one));
    }
    return out;
  }

  static void write_kinds(JsonWriter& json, const Capacity& c) {
    const KindBytes running = c.running();
    json.key("kinds").begin_array();
    for (const CacheKind kind : all_cache_kinds()) {
      json.begin_object().member("kind", name_of(kind));
      json.member("bytes_per_token", c.bytes_per_token_by_kind()[static_cast<std::size_t>(kind)]);
      json.member("bytes_per_request", running[kind]).end_object();
    }
    json.end_array();
  }

  static void write_policy(JsonWriter& json, const Option& o) {
    const Capacity& c = o.capacity;
    json.member("policy", o.scenario.kv_cache.swa_policy);
    write_kinds(json, c);
    json.member("bytes_per_token", c.bytes_per_token());
    json.member("bytes_per_request", c.running().total().value);
    json.member("kv_tokens", c.tokens().value);
    json.member("kv_tokens_per_node", c.tokens().value * replicas_per_node(o.scenario));
    json.key("sequences").begin_array();
    for (const Tokens length : lengths_up_to(o.scenario.engine.max_context)) {
      json.begin_object().member("tokens", length.value);
      json.member("running", c.running_sequences(length));
      json.member("cached", c.cached_sequences(length)).end_object();
    }
    json.end_array();
  }

  static std::string json(const std::vector<Option>& options) {
    const Option& first = options.front();
    const Scenario& s = first.scenario;
    JsonWriter json(2);
    json.begin_object();
    json.member("model", s.model.name).member("hardware", s.hardware.name);
    json.member("tensor_parallel", s.deployment.tensor_parallel);
    json.member("replicas_per_node", replicas_per_node(s));
    json.member("layout", s.kv_cache.layout);
    json.member("kv_gib_per_gpu", to_gib(kv_memory(first.engine->cache().layout())));
    json.member("point_bytes", first.capacity.point().total().value);
    write_policy(json, first);
    json.key("policies").begin_array();
    for (const Option& o : options) {
      json.begin_object();
      write_policy(json, o);
      json.end_object();
    }
    json.end_array().end_object();
    return json.text();
  }

  static std::string memory_line(const Option& o) {
    const Scenario& s = o.scenario;
    const Bytes kv = kv_memory(o.engine->cache().layout());
    if (s.kv_cache.memory) {
      return fmt::format("{:.1f} GiB for the KV cache on each GPU, as kv_cache.memory says\n",
                         to_gib(kv));
    }
    const NodeMemory m = memory_of_gpu(s);
    return fmt::format(
        "{:.1f} GiB for the KV cache on each GPU: {:.1f} GiB x {:.2f} - {:.1f} GiB weights - "
        "{:.1f} GiB reserve\n",
        to_gib(kv), to_gib(m.memory), s.kv_cache.memory_fraction, to_gib(m.weights),
        to_gib(m.reserve));
  }

  static std::string text(const std::vector<Option>& options, const TextStyle& style) {
    const Option& first = options.front();
    const Scenario& s = first.scenario;
    const std::int64_t replicas = replicas_per_node(s);
    std::string out =
        fmt::format("{} on {}, tensor_parallel {}: {} on a node of {} GPUs, layout {}\n{}",
                    s.model.name, s.hardware.name, s.deployment.tensor_parallel,
                    replicas == 1 ? "one replica" : fmt::format("{} replicas", replicas),
                    s.hardware.gpus_per_node, s.kv_cache.layout, memory_line(first));
    if (s.model.window.value > 0) {
      out += fmt::format(
          "A kept point (last {} tokens of every layer, compressor rows) takes {:.2f} MB.\n",
          s.model.window.value, static_cast<double>(first.capacity.point().total().value) * 1e-6);
    }
    out += '\n' + sequences(options, style) + '\n' + kinds(options, style);
    return out;
  }

  // Policies by row: tokens, and sequences that run at once.
  static std::string sequences(const std::vector<Option>& options, const TextStyle& style) {
    const auto lengths = lengths_up_to(options.front().scenario.engine.max_context);
    std::vector<std::string> header = {"SWA policy", "B/token", "MB/request", "tokens/replica",
                                       "tokens/node"};
    for (const Tokens n : lengths) header.push_back(fmt::format("{} Ki", n.value / kKiB));
    Table table(header);
    const auto add_rows = [&](const char* title, bool running) {
      table.group(title);
      for (const Option& o : options) {
        const Capacity& c = o.capacity;
        std::vector<std::string> row = {
            o.scenario.kv_cache.swa_policy, grouped(c.bytes_per_token(), 0),
            running ? grouped(static_cast<double>(c.running().total().value) * 1e-6, 1) : "-",
            human(c.tokens()), human(c.tokens() * replicas_per_node(o.scenario))};
        for (const Tokens n : lengths) {
          row.push_back(grouped(running ? c.running_sequences(n) : c.cached_sequences(n)));
        }
        table.row(row);
      }
    };
    add_rows("running at once, by length", true);
    add_rows("kept for reuse, nothing running", false);
    return table.text(style);
  }

  // Cache kinds by row: bytes per token under each policy, and per running request of the
  // scenario's.
  static std::string kinds(const std::vector<Option>& options, const TextStyle& style) {
    std::vector<std::string> header = {"bytes by cache kind"};
    for (const Option& o : options) header.push_back(o.scenario.kv_cache.swa_policy + " /token");
    header.push_back(options.front().scenario.kv_cache.swa_policy + " /request");
    Table table(header);
    for (const CacheKind kind : all_cache_kinds()) {
      std::vector<std::string> row = {std::string(name_of(kind))};
      for (const Option& o : options) {
        const double bytes = o.capacity.bytes_per_token_by_kind()[static_cast<std::size_t>(kind)];
        row.push_back(grouped(bytes, 1));
      }
      row.push_back(grouped(options.front().capacity.running()[kind]));
      table.row(row);
    }
    return table.text(style);
  }

  std::string file_;
  std::vector<std::string> policies_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "capacity", []() -> std::unique_ptr<Command> { return std::make_unique<CapacityCommand>(); });

}  // namespace

}  // namespace v4cap
