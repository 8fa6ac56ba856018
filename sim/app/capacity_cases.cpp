// Predictions of capacity tables. Every row
// becomes a scenario with the row's engine version, deployment and memory; nothing is fitted to a
// row, and what serves one row only is a defect.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "sim/app/capacity_cases.h"
#include "sim/app/capacity_table.h"
#include "sim/app/case_scenario.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/layout.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/hardware_file.h"
#include "sim/core/quantiles.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr double kExplainAbovePct = 8;

// Where a prediction's memory came from, in the order of summaries: an error where the memory was
// stated is one of the layout, elsewhere also one of the memory model.
constexpr const char* kStated = "stated memory";
constexpr const char* kFormula = "formula";  // of what does not depend on memory
constexpr const char* kPredicted = "predicted memory";
constexpr std::array kCoverages = {kStated, kFormula, kPredicted};

struct Prediction {
  CapacityCase row;
  std::string rule;      // the version that was told and its values
  std::string coverage;  // where the memory came from, or why there is no prediction
  std::optional<double> predicted;
  double kv_gib = 0;  // KV memory that the prediction rests on
  std::string why;    // of a large error

  double error_pct() const { return 100 * (predicted.value_or(0) - row.value) / row.value; }
};

// Hardware of a row whose memory for KV is stated: nothing else of the GPU matters.
constexpr const char* kAnyGpu =
    "{name: any, provenance: 'stands for a GPU whose KV memory is stated', gpus_per_node: 1, "
    "gpu: {name: any, memory: 100000 GiB, memory_bandwidth: 1 TB/s, bf16: 1 TFLOP/s, "
    "fp8: 1 TFLOP/s}, link: {bandwidth: 1 GB/s, latency: 1 us}, efficiency: {memory: 1, "
    "compute: 1, link: 1, fixed_per_operator: 0 us, fixed_per_step: 0 us}}";

// Bytes do not depend on the memory for what one request needs.
bool depends_on_memory(const CapacityCase& c) {
  return c.metric != kNeededFigure;
}

// The row as --set options over a bare scenario.
std::vector<std::string> settings_of(const CapacityCase& c, bool stated) {
  std::vector<std::string> set;
  const auto put = [&](const std::string& key, const std::string& value) {
    set.push_back(key + '=' + value);
  };
  put("hardware.gpus_per_node", std::to_string(c.gpus));
  put("deployment.data_parallel", std::to_string(c.data_parallel));
  put("deployment.tensor_parallel", std::to_string(c.tensor_parallel));
  put("deployment.expert_parallel", std::to_string(c.expert_parallel));
  put("kv_cache.layout", c.engine);
  if (!c.engine_version.empty()) put("kv_cache.layout_version", '"' + c.engine_version + '"');
  if (!c.indexer.empty()) put("kv_cache.indexer", c.indexer);
  if (c.memory_fraction) put("kv_cache.memory_fraction", fmt::format("{}", *c.memory_fraction));
  if (c.swa_full_tokens_ratio && c.engine == "sglang") {
    put("kv_cache.layout_options.swa_full_tokens_ratio",
        fmt::format("{}", *c.swa_full_tokens_ratio));
  }
  put("engine.draft_tokens", std::to_string(draft_tokens(c.engine, c.speculative)));
  if (c.max_model_len) put("engine.max_context_tokens", std::to_string(*c.max_model_len));
  if (c.max_batched_tokens) put("engine.step_tokens", std::to_string(*c.max_batched_tokens));
  if (c.steps_in_flight) put("engine.steps_in_flight", std::to_string(*c.steps_in_flight));
  if (!stated) return set;
  // What an engine logs as available is what it divides, but for what the row names as fixed.
  const double gib = c.kv_available_gib ? *c.kv_available_gib - c.fixed_gib.value_or(0) : 1;
  if (gib <= 0) throw RunError("nothing is left of kv_available_gib after fixed_gib");
  put("kv_cache.memory", fmt::format("{} B", std::llround(gib * static_cast<double>(kGiB))));
  if (c.engine == "sglang") put("kv_cache.layout_options.request_slots", "0");
  return set;
}

Scenario scenario_of(const CapacityCase& c, bool stated) {
  std::vector<std::string> engines;
  for (const std::string& name : data_names(DataKind::engine, "")) engines.push_back(name);
  check_known("engine", c.engine, engines);
  check_known("model", c.model, data_names(DataKind::model, ""));
  std::string hardware = kAnyGpu;
  if (!stated) {
    hardware = hardware_named(c.gpu);
    if (hardware.empty()) {
      throw RunError(c.gpu.empty() ? "neither GPU nor memory is stated"
                                   : "GPU " + c.gpu + " is not known and no memory is stated");
    }
    hardware = "{base: " + hardware + "}";
  }
  ScenarioOptions options;
  options.set = settings_of(c, stated);
  options.find_traces = false;
  return parse_scenario(
      "model: " + c.model + "\nhardware: " + hardware + "\nworkload: {trace: none}\n",
      "row " + c.id, options);
}

// "0.26: packing 2": the version that a row's belongs to and what it sets.
std::string rule_of(const CapacityCase& c) {
  const auto engine = load_engine(c.engine, "");
  if (!engine) return "-";
  const EngineVersion* version =
      c.engine_version.empty() ? &engine->versions.back() : engine->find(c.engine_version);
  if (version == nullptr) return "-";
  std::string text = version->release + " (" + version->date + ")";
  const char* separator = ": ";
  for (const auto& [name, value] : version->values) {
    text += fmt::format("{}{} {:g}", separator, name, value);
    separator = ", ";
  }
  return text;
}

// In units of memory, which is what can be checked: what the reported figure would take.
std::string explanation(const Prediction& p) {
  if (!p.predicted || std::abs(p.error_pct()) <= kExplainAbovePct) return "";
  std::string text = fmt::format(
      "reported takes {:.1f} GiB of KV by the version's rule, {:.1f} are "
      "{}",
      p.kv_gib * p.row.value / *p.predicted, p.kv_gib,
      p.row.kv_available_gib ? "stated" : "left by the memory model");
  if (p.row.speculative == "dspark") text += "; DSpark's own buffers are not modelled";
  return text + (p.row.note.empty() ? "" : "; note: " + p.row.note);
}

std::string short_explanation(const Prediction& p) {
  if (!p.predicted || std::abs(p.error_pct()) <= kExplainAbovePct) return "";
  return fmt::format("takes {:.1f} of {:.1f} GiB", p.kv_gib * p.row.value / *p.predicted, p.kv_gib);
}

Prediction predict(const CapacityCase& c) {
  Prediction p{c, "", "", {}, 0, ""};
  const bool stated = c.kv_available_gib || !depends_on_memory(c);
  try {
    p.rule = rule_of(c);
    const Scenario scenario = scenario_of(c, stated);
    const auto engine = make_engine(scenario);
    const Layout& layout = engine->cache().layout();
    const auto figures = layout.engine_log();
    const LogFigure* figure = find_figure(figures, c.metric);
    if (figure == nullptr) {
      std::vector<std::string> known;
      for (const LogFigure& f : figures) known.push_back(f.key);
      throw RunError("metric " + c.metric + " is not known" + suggestion(c.metric, known));
    }
    p.predicted = figure->value;
    p.kv_gib =
        to_gib(scenario.kv_cache.memory ? *scenario.kv_cache.memory : memory_of_gpu(scenario).kv);
    p.coverage = c.kv_available_gib ? kStated : stated ? kFormula : kPredicted;
    p.why = explanation(p);
  } catch (const RunError& e) {
    p.coverage = std::string("not predictable: ") + e.what();
  } catch (const InputError& e) {
    p.coverage = "not predictable: " + e.diagnostics().front().message;
  }
  return p;
}

struct Errors {
  std::int64_t predicted = 0;
  double median = 0, p90 = 0;
  const Prediction* worst = nullptr;
};

// Of the predictions with this coverage, or of all.
Errors errors_of(const std::vector<Prediction>& predictions, const std::string& coverage = "") {
  Errors out;
  std::vector<double> sizes;
  for (const Prediction& p : predictions) {
    if (!p.predicted || (!coverage.empty() && p.coverage != coverage)) continue;
    sizes.push_back(std::abs(p.error_pct()));
    if (out.worst == nullptr || sizes.back() > std::abs(out.worst->error_pct())) out.worst = &p;
  }
  const Distribution d = describe(sizes);
  out.predicted = d.count;
  out.median = d.p50;
  out.p90 = d.p90;
  return out;
}

void write_errors(JsonWriter& json, const Errors& errors) {
  const bool any = errors.worst != nullptr;
  json.member("median_abs_error_pct", any ? std::optional(errors.median) : std::nullopt);
  json.member("p90_abs_error_pct", any ? std::optional(errors.p90) : std::nullopt);
  json.key("worst");
  if (any) {
    json.begin_object().member("id", errors.worst->row.id);
    json.member("metric", errors.worst->row.metric);
    json.member("error_pct", errors.worst->error_pct()).end_object();
  } else {
    json.value(nullptr);
  }
}

std::string json(const std::vector<Prediction>& predictions) {
  JsonWriter json(2);
  json.begin_object().key("cases").begin_array();
  for (const Prediction& p : predictions) {
    json.begin_object().member("id", p.row.id).member("metric", p.row.metric);
    json.member("coverage", p.coverage).member("reported", p.row.value);
    json.member("predicted", p.predicted);
    json.member("error_pct", p.predicted ? std::optional(p.error_pct()) : std::nullopt);
    json.member("rule", p.rule).member("explanation", p.why).end_object();
  }
  json.end_array();
  const Errors errors = errors_of(predictions);
  json.member("predicted_cases", errors.predicted);
  write_errors(json, errors);
  json.key("by_coverage").begin_array();
  for (const char* coverage : kCoverages) {
    const Errors one = errors_of(predictions, coverage);
    if (one.worst == nullptr) continue;
    json.begin_object().member("coverage", coverage).member("cases", one.predicted);
    write_errors(json, one);
    json.end_object();
  }
  json.end_array().end_object();
  return json.text();
}

std::string figure_text(double value) {
  return grouped(value, value < 1000 ? 2 : 0);
}

std::string summary_line(const std::string& what, const Errors& errors) {
  return fmt::format("{}: median error {:.2f} %, p90 {:.2f} %, worst {} ({:+.2f} %)\n", what,
                     errors.median, errors.p90, errors.worst->row.id, errors.worst->error_pct());
}

std::string text(const std::vector<Prediction>& predictions, const TextStyle& style) {
  Table table(
      {"case", "engine", "metric", "reported", "predicted", "error, %", "memory", "beyond 8 %"});
  std::string rules, notes;
  std::vector<std::string> shown_rules;
  for (const Prediction& p : predictions) {
    table.row({p.row.id, p.row.engine + ' ' + p.row.engine_version, p.row.metric,
               figure_text(p.row.value), p.predicted ? figure_text(*p.predicted) : "-",
               p.predicted ? fmt::format("{:+.2f}", p.error_pct()) : "-",
               p.predicted ? p.coverage : "not predictable", short_explanation(p)});
    const std::string rule = p.row.engine + ' ' + p.rule;
    if (p.predicted && std::ranges::find(shown_rules, rule) == shown_rules.end()) {
      shown_rules.push_back(rule);
      rules += "  " + rule + '\n';
    }
    if (!p.why.empty()) notes += "  " + p.row.id + ": " + p.why + '\n';
    if (!p.predicted) notes += "  " + p.row.id + ": " + p.coverage + '\n';
  }
  std::string out = table.text(style);
  const Errors errors = errors_of(predictions);
  if (errors.worst != nullptr) {
    out += '\n' + summary_line(
                      fmt::format("{} of {} cases predicted", errors.predicted, predictions.size()),
                      errors);
  }
  for (const char* coverage : kCoverages) {
    const Errors one = errors_of(predictions, coverage);
    if (one.worst == nullptr) continue;
    out += summary_line(fmt::format("  {} ({})", coverage, one.predicted), one);
  }
  if (!rules.empty()) out += "\nrule by version, from scenarios/engines:\n" + rules;
  if (!notes.empty())
    out += fmt::format("\nbeyond {:g} %, or without a prediction:\n{}", kExplainAbovePct, notes);
  return out;
}

}  // namespace

CaseReport predict_capacity(const CaseRows& rows, const TextStyle& style) {
  std::vector<Prediction> predictions;
  for (const CapacityCase& c : capacity_cases(rows)) predictions.push_back(predict(c));
  return {json(predictions), text(predictions, style), errors_of(predictions).predicted > 0};
}

}  // namespace v4cap
