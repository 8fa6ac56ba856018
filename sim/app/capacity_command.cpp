// v4cap capacity SCENARIO: what fits into the memory of a node, per SWA policy, without any
// traffic: bytes per token and per running request by cache kind, tokens, and sequences of given
// lengths; what the layout's engine will log; where a GPU's memory goes; the other deployments of
// the same GPUs; with --compare other models, with --sensitivity what single changes are worth.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "sim/app/capacity_study.h"
#include "sim/app/command.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/capacity.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/model/node_memory.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr std::int64_t kLengths[] = {4096, 16384, 65536, 262144, 1048576};

using Option = CapacityOption;

// Attention ranks on a node, each with a KV cache of its own; 1 where a rank takes several nodes.
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
    app.add_option("--compare", compared_,
                   "SWA policies to show beside the scenario's (default: full, checkpoint=2048 "
                   "and recompute); models, such as deepseek-v3.2, to compare its bytes with")
        ->expected(1, 64);
    app.add_flag("--sensitivity", sensitivity_, "show what single changes are worth in tokens");
  }

  ExitCode run(CommandContext& context) override {
    const std::vector<Option> options = load(context);
    const Study study = examine(options.front(), context);
    if (context.options.json) {
      context.out << json(options, study) << '\n';
    } else {
      const TextStyle style =
          text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
      context.out << text(options, study, style);
    }
    return ExitCode::done;
  }

 private:
  // What the scenario is asked beside its own capacity.
  struct Study {
    std::vector<MemoryItem> memory;  // empty where kv_cache.memory says it all
    std::vector<DeploymentRow> deployments;
    RequestFit fit;
    std::vector<SensitivityRow> sensitivity;
    std::vector<ModelBytes> models;
  };

  // --compare names policies and models alike.
  std::vector<std::string> compared(bool models) const {
    const std::vector<std::string> known = data_names(DataKind::model, "");
    std::vector<std::string> out;
    for (const std::string& name : compared_) {
      const bool is_model = std::find(known.begin(), known.end(), name) != known.end();
      if (is_model == models) out.push_back(name);
    }
    return out;
  }

  Study examine(const Option& base, const CommandContext& context) const {
    const ScenarioLoader loader = [&](const std::vector<std::string>& set) {
      ScenarioOptions options = scenario_options(context.options);
      options.find_traces = false;
      options.set.insert(options.set.end(), set.begin(), set.end());
      return load_checked_scenario(file_, options);
    };
    Study out;
    if (!base.scenario.kv_cache.memory) out.memory = memory_of_gpu(base.scenario).items;
    if (base.scenario.deployment.gpus() > 1) out.deployments = deployments(base.scenario, loader);
    out.fit = request_fit(base, loader);
    if (sensitivity_) out.sensitivity = sensitivity(base, loader);
    const auto models = compared(true);
    if (!models.empty()) out.models = compare_models(base.scenario, models);
    return out;
  }

  // The scenario as it is first, then once for every other policy.
  std::vector<Option> load(const CommandContext& context) const {
    std::vector<std::string> wanted = compared(false);
    if (wanted.empty() && compared(true).empty()) wanted = {"full", "checkpoint=2048", "recompute"};
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

  static std::string json(const std::vector<Option>& options, const Study& study) {
    const Option& first = options.front();
    const Scenario& s = first.scenario;
    JsonWriter json(2);
    json.begin_object();
    json.member("model", s.model.name).member("hardware", s.hardware.name);
    json.member("tensor_parallel", s.deployment.tensor_parallel);
    json.member("data_parallel", s.deployment.data_parallel);
    json.member("expert_parallel", s.deployment.expert_parallel);
    json.member("replicas_per_node", replicas_per_node(s));
    json.member("layout", s.kv_cache.layout);
    json.member("layout_version", s.kv_cache.layout_version);
    json.member("kv_gib_per_gpu", to_gib(first.kv_memory()));
    json.member("point_bytes", first.capacity.point().total().value);
    write_policy(json, first);
    json.key("policies").begin_array();
    for (const Option& o : options) {
      json.begin_object();
      write_policy(json, o);
      json.end_object();
    }
    json.end_array();
    write_study(json, first, study);
    json.end_object();
    return json.text();
  }

  static void write_study(JsonWriter& json, const Option& first, const Study& study) {
    json.key("memory").begin_array();
    for (const MemoryItem& item : study.memory) {
      json.begin_object().member("item", item.name).member("bytes", item.bytes.value);
      json.member("source", item.source).end_object();
    }
    json.end_array().key("engine_log").begin_array();
    for (const LogFigure& f : first.layout().engine_log()) {
      json.begin_object().member("key", f.key).member("label", f.label).member("value", f.value);
      json.member("unit", f.unit).member("formula", f.formula).end_object();
    }
    json.end_array().key("deployments").begin_array();
    for (const DeploymentRow& row : study.deployments) write_deployment(json, row);
    json.end_array();
    write_fit(json, study.fit);
    if (!study.sensitivity.empty()) write_sensitivity(json, study.sensitivity);
    if (!study.models.empty()) write_models(json, study.models);
  }

  static void write_deployment(JsonWriter& json, const DeploymentRow& row) {
    json.begin_object().member("tensor_parallel", row.widths.tensor_parallel);
    json.member("data_parallel", row.widths.data_parallel);
    if (row.option) {
      json.member("kv_gib_per_gpu", to_gib(row.option->kv_memory()));
      json.member("kv_tokens_per_rank", row.rank_tokens.value);
      json.member("kv_tokens", row.engine_tokens.value);
    } else {
      json.member("refused", row.refused);
    }
    json.end_object();
  }

  static void write_fit(JsonWriter& json, const RequestFit& fit) {
    json.key("request_fit").begin_object().member("fixed_bytes", fit.fixed_bytes);
    json.member("bytes_per_token", fit.bytes_per_token).key("lengths").begin_array();
    for (const RequestCost& cost : fit.costs) {
      json.begin_object().member("tokens", cost.length.value);
      json.member("reserved_bytes", cost.reserved.value);
      json.member("logged_bytes_per_token", cost.logged_bytes_per_token).end_object();
    }
    json.end_array().end_object();
  }

  static void write_sensitivity(JsonWriter& json, const std::vector<SensitivityRow>& rows) {
    json.key("sensitivity").begin_array();
    for (const SensitivityRow& row : rows) {
      json.begin_object().member("change", row.change);
      if (row.refused.empty()) {
        json.member("kv_tokens", row.policy_tokens);
        json.member("engine_tokens", row.engine_tokens);
      } else {
        json.member("refused", row.refused);
      }
      json.end_object();
    }
    json.end_array();
  }

  static void write_models(JsonWriter& json, const std::vector<ModelBytes>& rows) {
    json.key("models").begin_array();
    for (const ModelBytes& row : rows) {
      json.begin_object().member("model", row.model).member("tokens", row.length.value);
      json.member("bytes", row.kinds.total().value);
      json.member("bytes_per_token", row.bytes_per_token());
      json.member("ratio", row.ratio_to_first).key("kinds").begin_array();
      for (const CacheKind kind : all_cache_kinds()) {
        json.begin_object().member("kind", name_of(kind));
        json.member("bytes", row.kinds[kind]).end_object();
      }
      json.end_array().end_object();
    }
    json.end_array();
  }

  static std::string memory_line(const Option& o) {
    const Scenario& s = o.scenario;
    const Bytes kv = o.kv_memory();
    if (s.kv_cache.memory) {
      return fmt::format("{:.1f} GiB for the KV cache on each GPU, as kv_cache.memory says\n",
                         to_gib(kv));
    }
    const NodeMemory m = memory_of_gpu(s);
    return fmt::format(
        "{:.1f} GiB for the KV cache on each GPU: {:.1f} GiB x {:.3g} - {:.1f} GiB weights - "
        "{:.1f} GiB reserve\n",
        to_gib(kv), to_gib(m.memory), s.kv_cache.memory_fraction, to_gib(m.weights),
        to_gib(m.reserve));
  }

  static std::string heading(const Scenario& s) {
    const std::int64_t replicas = replicas_per_node(s);
    std::string widths = fmt::format("tensor_parallel {}", s.deployment.tensor_parallel);
    if (s.deployment.data_parallel > 1) {
      widths += fmt::format(" x data_parallel {}", s.deployment.data_parallel);
    }
    std::string layout = s.kv_cache.layout;
    if (!s.kv_cache.layout_version.empty()) layout += ' ' + s.kv_cache.layout_version;
    return fmt::format("{} on {}, {}: {} on a node of {} GPUs, layout {}\n", s.model.name,
                       s.hardware.name, widths,
                       replicas == 1 ? "one replica" : fmt::format("{} replicas", replicas),
                       s.hardware.gpus_per_node, layout);
  }

  static std::string text(const std::vector<Option>& options, const Study& study,
                          const TextStyle& style) {
    const Option& first = options.front();
    const Scenario& s = first.scenario;
    std::string out = heading(s) + memory_line(first);
    if (s.model.window.value > 0) {
      out += fmt::format(
          "A kept point (last {} tokens of every layer, compressor rows) takes {:.2f} MB.\n",
          s.model.window.value, static_cast<double>(first.capacity.point().total().value) * 1e-6);
    }
    out += '\n' + sequences(options, style) + '\n' + kinds(options, style);
    out += memory_table(first, study, style) + engine_table(first, style);
    out += deployment_table(study, style) + fit_table(first, study, style);
    out += sensitivity_table(study, style) + model_table(study, style);
    return out;
  }

  // A GPU's memory from the bottom.
  static std::string memory_table(const Option& o, const Study& study, const TextStyle& style) {
    if (study.memory.empty()) return "";
    Table table({"memory of each GPU", "GiB", "from"});
    const auto row = [&](const std::string& name, Bytes bytes, const std::string& source) {
      table.row({name, fmt::format("{:.2f}", to_gib(bytes)), source});
    };
    for (const MemoryItem& item : study.memory) row(item.name, item.bytes, item.source);
    const NodeMemory memory = memory_of_gpu(o.scenario);
    row("left for the KV cache", memory.kv, "what remains of " + human(memory.memory));
    row("of it in pools", o.kv_memory(), "whole blocks, without reserves of the layout");
    return '\n' + table.text(style);
  }

  static std::string engine_table(const Option& o, const TextStyle& style) {
    const auto figures = o.layout().engine_log();
    if (figures.empty()) return "";
    const KvCacheConfig& kv = o.scenario.kv_cache;
    Table table({"what " + kv.layout + ' ' + kv.layout_version + " computes at start", "value",
                 "unit", "because"});
    for (const LogFigure& f : figures) {
      const int decimals = f.value == std::floor(f.value) ? 0 : 2;
      table.row({f.label, grouped(f.value, decimals), f.unit, f.formula});
    }
    return '\n' + table.text(style);
  }

  static std::string deployment_table(const Study& study, const TextStyle& style) {
    if (study.deployments.empty()) return "";
    Table table(
        {"the same GPUs as", "KV GiB/GPU", "tokens/rank", "tokens, all ranks", "against TP"});
    double first = 0;
    for (const DeploymentRow& row : study.deployments) {
      const std::string name =
          fmt::format("tensor {} x ranks {}", row.widths.tensor_parallel, row.widths.data_parallel);
      if (!row.option) {
        table.row({name, "-", "-", "does not fit", "-"});
        continue;
      }
      const auto tokens = static_cast<double>(row.engine_tokens.value);
      if (first == 0) first = tokens;
      table.row({name, fmt::format("{:.1f}", to_gib(row.option->kv_memory())),
                 human(row.rank_tokens), human(row.engine_tokens),
                 first > 0 ? fmt::format("{:.2f}x", tokens / first) : "-"});
    }
    return '\n' + table.text(style);
  }

  // What a request costs grows by a line; dividing by tokens reads anything off it.
  static std::string fit_table(const Option& o, const Study& study, const TextStyle& style) {
    if (study.fit.costs.size() < 2) return "";
    const bool logs = study.fit.costs.front().logged_bytes_per_token.has_value();
    Table table({"longest request", "reserved, GiB", "read off the log, KiB/token"});
    for (const RequestCost& cost : study.fit.costs) {
      const auto logged = cost.logged_bytes_per_token;
      table.row({fmt::format("{} Ki", cost.length.value / kKiB),
                 fmt::format("{:.3f}", to_gib(cost.reserved)),
                 logged ? fmt::format("{:.2f}", *logged / kKiB) : "-"});
    }
    return '\n' + table.text(style) +
           fmt::format("A request takes {:.3f} GiB + {} B a token{}.\n",
                       study.fit.fixed_bytes / static_cast<double>(kGiB),
                       grouped(study.fit.bytes_per_token, 1),
                       logs ? fmt::format(" as {} reserves it; KV memory over logged tokens mixes "
                                          "the two",
                                          o.scenario.kv_cache.layout)
                            : " while it decodes");
  }

  static std::string sensitivity_table(const Study& study, const TextStyle& style) {
    if (study.sensitivity.empty()) return "";
    Table table({"change", "tokens under the policy", "worth", "tokens as logged", "worth"});
    const SensitivityRow& base = study.sensitivity.front();
    const auto worth = [](double now, double before) {
      return fmt::format("{}{}", now < before ? "" : "+", grouped(now - before, 0));
    };
    for (const SensitivityRow& row : study.sensitivity) {
      if (!row.refused.empty()) {
        table.row({row.change, "-", "-", "-", "not possible"});
        continue;
      }
      const bool logged = row.engine_tokens && base.engine_tokens;
      table.row({row.change, grouped(row.policy_tokens, 0),
                 worth(row.policy_tokens, base.policy_tokens),
                 logged ? grouped(*row.engine_tokens, 0) : "-",
                 logged ? worth(*row.engine_tokens, *base.engine_tokens) : "-"});
    }
    return '\n' + table.text(style);
  }

  static std::string model_table(const Study& study, const TextStyle& style) {
    if (study.models.empty()) return "";
    std::vector<std::string> header = {
        "one sequence, all formats as stored", "KB/token", "KiB/token", "MB", "ratio", "first is"};
    for (const CacheKind kind : all_cache_kinds()) {
      header.push_back(std::string(name_of(kind)) + ", MB");
    }
    Table table(header);
    Tokens length;
    for (const ModelBytes& row : study.models) {
      if (row.length != length) table.group(fmt::format("{} tokens", grouped(row.length.value)));
      length = row.length;
      std::vector<std::string> cells = {
          row.model,
          fmt::format("{:.3f}", row.bytes_per_token() / 1000),
          fmt::format("{:.3f}", row.bytes_per_token() / kKiB),
          grouped(static_cast<double>(row.kinds.total().value) * 1e-6, 1),
          fmt::format("{:.2f}x", row.ratio_to_first),
          fmt::format("{:.1f} %", 100 / row.ratio_to_first)};
      for (const CacheKind kind : all_cache_kinds()) {
        cells.push_back(grouped(static_cast<double>(row.kinds[kind]) * 1e-6, 1));
      }
      table.row(cells);
    }
    return '\n' + table.text(style);
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
  std::vector<std::string> compared_;
  bool sensitivity_ = false;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "capacity", []() -> std::unique_ptr<Command> { return std::make_unique<CapacityCommand>(); });

}  // namespace

}  // namespace v4cap
