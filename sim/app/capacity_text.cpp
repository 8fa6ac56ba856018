// The figures of `v4cap capacity` for people: tables, and in a line or two what to make of them.
#include <fmt/format.h>

#include <cmath>

#include "sim/app/capacity_report.h"
#include "sim/cluster/run_scenario.h"
#include "sim/output/humanise.h"
#include "sim/output/run_summary.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

using Option = CapacityOption;

std::string memory_line(const Option& o) {
  const Scenario& s = o.scenario;
  const Bytes kv = o.kv_memory();
  const std::string pools =
      fmt::format("{:.1f} GiB of it in pools, in whole blocks after reserves of the layout\n",
                  to_gib(o.pool_memory()));
  if (s.kv_cache.memory) {
    return fmt::format("{:.1f} GiB for the KV cache on each GPU, as kv_cache.memory says\n",
                       to_gib(kv)) +
           pools;
  }
  const NodeMemory m = memory_of_gpu(s);
  return fmt::format(
             "{:.1f} GiB for the KV cache on each GPU: {:.1f} GiB x {:.3g} - {:.1f} GiB weights - "
             "{:.1f} GiB reserve\n",
             to_gib(kv), to_gib(m.memory), s.kv_cache.memory_fraction, to_gib(m.weights),
             to_gib(m.reserve)) +
         pools;
}

std::string heading(const Scenario& s) {
  const std::int64_t replicas = replicas_per_node(s);
  std::string widths = fmt::format("tensor_parallel {}", s.deployment.tensor_parallel);
  if (s.deployment.data_parallel > 1) {
    widths += fmt::format(" x data_parallel {}", s.deployment.data_parallel);
  }
  std::string layout = s.kv_cache.layout;
  if (!s.kv_cache.layout_version.empty()) layout += ' ' + s.kv_cache.layout_version;
  if (!s.kv_cache.layout_note.empty()) layout += " (" + s.kv_cache.layout_note + ')';
  return fmt::format("{} on {}, {}: {} on a node of {} GPUs, layout {}\n", s.model.name,
                     s.hardware.name, widths,
                     replicas == 1 ? "one replica" : fmt::format("{} replicas", replicas),
                     s.hardware.gpus_per_node, layout);
}

// A GPU's memory from the bottom.
std::string memory_table(const Option& o, const CapacityStudy& study, const TextStyle& style) {
  if (study.memory.empty()) return "";
  Table table({"memory of each GPU", "GiB", "from"});
  const auto row = [&](const std::string& name, Bytes bytes, const std::string& source) {
    table.row({name, fmt::format("{:.2f}", to_gib(bytes)), source});
  };
  for (const MemoryItem& item : study.memory) row(item.name, item.bytes, item.source);
  const NodeMemory memory = memory_of_gpu(o.scenario);
  row("left for the KV cache", memory.kv, "what remains of " + human(memory.memory));
  row("of it in pools", o.pool_memory(), "whole blocks, without reserves of the layout");
  return '\n' + table.text(style);
}

std::string engine_table(const Option& o, const TextStyle& style) {
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

std::string deployment_table(const CapacityStudy& study, const TextStyle& style) {
  if (study.deployments.empty()) return "";
  Table table({"the same GPUs as", "KV GiB/GPU", "tokens/rank", "tokens, all ranks", "against TP"});
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
    table.row({name, fmt::format("{:.1f}", to_gib(row.option->kv_memory())), human(row.rank_tokens),
               human(row.engine_tokens), first > 0 ? fmt::format("{:.2f}x", tokens / first) : "-"});
  }
  return '\n' + table.text(style);
}

// What a request costs grows by a line; dividing by tokens reads anything off it.
std::string fit_table(const Option& o, const CapacityStudy& study, const TextStyle& style) {
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

std::string sensitivity_table(const CapacityStudy& study, const TextStyle& style) {
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

std::string model_table(const CapacityStudy& study, const TextStyle& style) {
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

// How fast a node decodes when it is full.
std::string speed_table(const CapacityStudy& study, const TextStyle& style) {
  if (study.speeds.empty()) return "";
  Table table({"a full node decodes", "sequences/rank", "step, ms", "tok/s per GPU", "first is",
               "measured", "roofline"});
  Tokens length;
  for (const DecodeSpeed& row : study.speeds) {
    if (row.context != length) table.group(fmt::format("{} tokens", grouped(row.context.value)));
    length = row.context;
    if (row.sequences == 0) {
      table.row({row.model, "0", "-", "-", "-", "-", "-"});
      continue;
    }
    const TimeShareFractions share = fractions(row.share);
    table.row({row.model, grouped(row.sequences), fmt::format("{:.2f}", 1000 * row.step_s),
               grouped(row.tokens_s_per_gpu, 1),
               row.over_other ? fmt::format("{:.2f}x", *row.over_other) : "",
               fmt::format("{:.0f} %", 100 * (share.measured + share.interpolated)),
               fmt::format("{:.0f} %", 100 * share.roofline)});
  }
  return '\n' + table.text(style);
}

// Per GPU, so that KB a token can be read beside what papers and press print.
std::string cached_table(const CapacityStudy& study, const TextStyle& style) {
  if (study.cached.empty()) return "";
  std::vector<std::string> header = {"a kept token on each GPU", "KB", "KiB", "first is"};
  for (const CacheKind kind : all_cache_kinds())
    header.push_back(std::string(name_of(kind)) + ", B");
  Table table(header);
  for (const CachedToken& row : study.cached) {
    std::vector<std::string> cells = {
        row.model, fmt::format("{:.3f}", row.total() / 1000),
        fmt::format("{:.3f}", row.total() / kKiB),
        fmt::format("{:.1f} %", 100 * study.cached.front().total() / row.total())};
    for (const double bytes : row.kinds) cells.push_back(grouped(bytes, 1));
    table.row(cells);
  }
  return '\n' + table.text(style);
}

// The engine's own ratio is in its log below; a size that it would not choose is said here.
std::string window_pool_line(const Option& o) {
  if (!o.policy_sizes_window_pool()) return "";
  const KvCacheConfig& kv = o.scenario.kv_cache;
  std::string out =
      fmt::format("{}: {:g} window tokens for each token of the main pool, by the policy",
                  kv.swa_policy, *o.layout().window_pool_ratio());
  const auto own = kv.layout_options.find("swa_full_tokens_ratio");
  const bool logged = o.engine->cache().policy().window_pool_ratio().has_value();
  if (own != kv.layout_options.end()) {
    out += fmt::format(" instead of swa_full_tokens_ratio {:g}{}", own->second,
                       logged ? "" : ", by which " + kv.layout + " computes its log");
  }
  return out + '\n';
}

// What a reader must know of the policies in the tables before believing them.
std::string caveats(const std::vector<Option>& options) {
  std::string out;
  for (const Option& o : options) {
    out += window_pool_line(o);
    const std::string caveat = o.engine->cache().policy().caveat();
    if (!caveat.empty()) out += o.scenario.kv_cache.swa_policy + ": " + caveat + '\n';
  }
  return out;
}

std::string note(const Scenario& s) {
  constexpr std::size_t columns = 100;
  return s.note.empty() ? "" : "\nNote: " + wrapped(printable(s.note), columns) + '\n';
}

// Policies by row: tokens, and sequences that run at once.
std::string sequences(const std::vector<Option>& options, const TextStyle& style) {
  const auto lengths = shown_lengths(options.front().scenario.engine.max_context);
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
std::string kinds(const std::vector<Option>& options, const TextStyle& style) {
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

}  // namespace

std::string capacity_text(const std::vector<CapacityOption>& options, const CapacityStudy& study,
                          const TextStyle& style) {
  const Option& first = options.front();
  const Scenario& s = first.scenario;
  std::string out = heading(s) + memory_line(first);
  if (s.model.window.value > 0) {
    out += fmt::format(
        "A kept point (last {} tokens of every layer, compressor rows) takes {:.2f} MB.\n",
        s.model.window.value, static_cast<double>(first.capacity.point().total().value) * 1e-6);
  }
  out += '\n' + sequences(options, style) + caveats(options) + '\n' + kinds(options, style);
  out += memory_table(first, study, style) + engine_table(first, style);
  out += deployment_table(study, style) + fit_table(first, study, style);
  out += sensitivity_table(study, style) + model_table(study, style) + speed_table(study, style);
  out += cached_table(study, style) + expectations_text(study.expectations, style) + note(s);
  return out;
}

}  // namespace v4cap
