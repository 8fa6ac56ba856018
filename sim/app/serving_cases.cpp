#include "sim/app/serving_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "sim/app/case_scenario.h"
#include "sim/app/serving_constants.h"
#include "sim/app/serving_table.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/config/scenario_file.h"
#include "sim/core/parallel.h"
#include "sim/core/quantiles.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/metrics.h"
#include "sim/output/run_summary.h"

namespace v4cap {

namespace {

// Rows with at least so many requests in flight are judged by throughput, rows with fewer by TTFT:
// with few the client's own overhead decides the one, with many the queue the other.
constexpr std::int64_t kLoaded = 64;

constexpr const char* kTtft = "ttft_ms";
constexpr const char* kTpot = "tpot_ms";
constexpr const char* kOutput = "output_tok_s_per_gpu";
// Requests that decode, by Little's law: requests a second x mean TPOT x (mean output - 1).
constexpr const char* kPopulation = "decode_population";
constexpr std::array kMetrics = {kTtft, kTpot, kOutput, kPopulation};

struct Figure {
  const char* metric;
  double reported = 0, predicted = 0;
  double error_pct() const { return 100 * (predicted - reported) / reported; }
};

struct Prediction {
  ServingCase row;
  std::vector<Figure> figures;
  std::string refused;  // why there is no prediction; "" = there is
  RunResult result;
  Metrics metrics;
  StepLedgers ledgers;
  std::vector<std::string> missing;
  std::string profile, engine_release;
  HostCost host;

  const Figure* find(const std::string& metric) const {
    const auto it =
        std::ranges::find_if(figures, [&](const Figure& f) { return f.metric == metric; });
    return it == figures.end() ? nullptr : &*it;
  }
};

// Does a summary count this figure?
bool counts(const Prediction& p, const std::string& metric) {
  if (metric == kTtft) return p.row.concurrency <= kLoaded;
  if (metric == kTpot) return true;
  if (metric == kOutput) return p.row.concurrency >= kLoaded;
  return p.row.concurrency > kLoaded;  // saturated
}

template <class List>
auto named(const List& list, const std::string& what, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& one : list) {
    if (one.name == name) return one;
    known.push_back(one.name);
  }
  throw RunError(what + ' ' + name + " is not known" + suggestion(name, known));
}

double acceptance_length(const ServingConstants& constants, const ServingCase& c) {
  for (const auto& one : constants.acceptance) {
    if (one.model == c.model && one.strategy == c.strategy) return one.length;
  }
  throw RunError("no acceptance length for " + c.model + ", strategy " + c.strategy + " in " +
                 constants.file);
}

// Earlier runs on the same server, as far as the table has them: the client does not empty the
// prefix cache, and its prompts are the same.
std::vector<const ServingCase*> earlier_runs(const std::vector<ServingCase>& all,
                                             const ServingCase& c) {
  std::vector<const ServingCase*> out;
  for (const ServingCase& other : all) {
    if (&other == &c) break;
    if (other.same_launch(c)) out.push_back(&other);
  }
  return out;
}

std::vector<std::string> settings_of(const ServingCase& c, const ServingConstants& constants,
                                     const std::vector<const ServingCase*>& earlier) {
  std::vector<std::string> set;
  const auto put = [&](const std::string& key, const auto& value) {
    set.push_back(fmt::format("{}={}", key, value));
  };
  put("hardware.gpus_per_node", c.gpus);
  const auto weights = named(constants.weights, "weights", c.weights);
  if (weights.expert_bytes) put("model.weights.expert_bytes", *weights.expert_bytes);
  const bool spread = std::ranges::find(constants.expert_parallel, c.moe_backend) !=
                      constants.expert_parallel.end();
  put("deployment.data_parallel", c.data_parallel);
  put("deployment.tensor_parallel", c.tensor_parallel / c.data_parallel);
  put("deployment.expert_parallel", spread ? c.gpus : 1);
  const std::int64_t drafts = draft_tokens(c.engine, c.speculative);
  put("engine.draft_tokens", drafts);
  if (drafts > 0) put("engine.acceptance_length", acceptance_length(constants, c));
  // A launch states these for the whole engine, a scenario for one attention rank.
  const auto of_rank = [&](std::int64_t whole) {
    return std::max<std::int64_t>(1, whole / c.data_parallel);
  };
  if (c.max_running) put("engine.max_running", of_rank(*c.max_running));
  if (c.prefill_chunk) put("engine.step_tokens", of_rank(*c.prefill_chunk));
  if (c.graph_max_batch) put("engine.host.graph_max_batch", *c.graph_max_batch);
  if (c.note.find("prefill delayer on") != std::string::npos) put("engine.prefill_delayer", "true");
  put("kv_cache.layout", c.engine);
  std::string version = c.engine_version;
  for (const auto& one : constants.versions) {
    if (one.name == version) version = one.means;
  }
  if (!version.empty()) put("kv_cache.layout_version", '"' + version + '"');
  if (c.engine == "sglang") {
    const double ratio = c.swa_full_tokens_ratio.value_or(0.1);
    put("kv_cache.layout_options.swa_full_tokens_ratio", ratio);
    put("kv_cache.swa_policy", fmt::format("pool={}", ratio));
  }
  if (c.memory_fraction) put("kv_cache.memory_fraction", *c.memory_fraction);
  std::string runs;
  for (const ServingCase* run : earlier) {
    runs += fmt::format("{}{{prompts: {}, concurrency: {}}}", runs.empty() ? "" : ", ",
                        run->prompts, run->concurrency);
  }
  put("workload.bench_serving",
      fmt::format("{{prompts: {}, concurrency: {}, input_tokens: {}, output_tokens: {}, "
                  "warmup_requests: {}, earlier: [{}]}}",
                  c.prompts, c.concurrency, c.longest_input, c.longest_output,
                  constants.warmup_requests, runs));
  return set;
}

Scenario scenario_of(const std::vector<ServingCase>& all, const ServingCase& c,
                     const ServingConstants& constants, const std::vector<std::string>& set) {
  check_known("engine", c.engine, data_names(DataKind::engine, ""));
  check_known("model", c.model, data_names(DataKind::model, ""));
  const std::string hardware = hardware_named(c.gpu);
  if (hardware.empty()) throw RunError("GPU " + c.gpu + " is not known");
  ScenarioOptions options;
  options.set = settings_of(c, constants, earlier_runs(all, c));
  options.set.insert(options.set.end(), set.begin(), set.end());
  return parse_scenario(
      "model: {base: " + c.model + "}\nhardware: {base: " + hardware + "}\nworkload: {}\n",
      "row " + c.id, options);
}

// Requests a second, from the output of all GPUs and the mean output of a request.
double population(double output_tok_s, double mean_output, double tpot_ms) {
  return output_tok_s / mean_output * (mean_output - 1) * tpot_ms / 1000;
}

void add_figures(Prediction& p) {
  const ServingCase& c = p.row;
  const Metrics& m = p.metrics;
  const double gpus = static_cast<double>(c.gpus);
  const double output = m.output_token_throughput.value_or(0) / gpus;
  const double mean_output = m.output_sequence_length.mean;
  std::optional<double> reported = c.output_tok_s_per_gpu;
  if (!reported && c.total_tok_s_per_gpu) {
    // The same requests: their output's part of the total is that of their lengths.
    reported = *c.total_tok_s_per_gpu * mean_output / (mean_output + m.input_sequence_length.mean);
  }
  const double tpot = m.inter_token_latency_ms.mean;
  if (c.ttft_ms) p.figures.push_back({kTtft, *c.ttft_ms, m.time_to_first_token_ms.mean});
  if (c.tpot_ms) p.figures.push_back({kTpot, *c.tpot_ms, tpot});
  if (reported) p.figures.push_back({kOutput, *reported, output});
  if (reported && c.tpot_ms) {
    p.figures.push_back({kPopulation, population(*reported * gpus, mean_output, *c.tpot_ms),
                         population(output * gpus, mean_output, tpot)});
  }
}

Prediction predict(const std::vector<ServingCase>& all, const ServingCase& c,
                   const ServingConstants& constants, const ServingRequest& request) {
  Prediction p;
  p.row = c;
  try {
    const Scenario scenario = scenario_of(all, c, constants, request.set);
    const Trace trace = load_workload(scenario);
    p.profile = scenario.profile;
    p.engine_release = c.engine + ' ' + scenario.kv_cache.layout_version;
    p.host = scenario.engine.host;
    p.missing = make_cost(scenario).missing;
    const bool explained = request.explain == c.id;
    p.result = run_scenario(scenario, trace, {}, explained ? &p.ledgers : nullptr);
    p.metrics = compute_metrics(p.result);
    add_figures(p);
    if (!explained) p.result.records.clear();
  } catch (const RunError& e) {
    p.refused = e.what();
  } catch (const InputError& e) {
    p.refused = e.diagnostics().front().message;
  }
  return p;
}

struct Errors {
  std::int64_t count = 0;
  double median = 0, p90 = 0;
  const Prediction* worst = nullptr;
  double worst_pct = 0;
};

Errors errors_of(const std::vector<Prediction>& predictions, const std::string& metric,
                 const std::string& coverage = "") {
  Errors out;
  std::vector<double> sizes;
  for (const Prediction& p : predictions) {
    if (!coverage.empty() && p.row.coverage != coverage) continue;
    const Figure* figure = p.find(metric);
    if (figure == nullptr || !counts(p, metric)) continue;
    const double error = figure->error_pct();
    sizes.push_back(std::abs(error));
    if (out.worst == nullptr || std::abs(error) > std::abs(out.worst_pct)) {
      out.worst = &p;
      out.worst_pct = error;
    }
  }
  const Distribution d = describe(sizes);
  out.count = d.count;
  out.median = d.p50;
  out.p90 = d.p90;
  return out;
}

std::vector<std::string> coverages(const std::vector<Prediction>& predictions) {
  std::vector<std::string> out;
  for (const Prediction& p : predictions) {
    if (std::ranges::find(out, p.row.coverage) == out.end()) out.push_back(p.row.coverage);
  }
  return out;
}

void write_errors(JsonWriter& json, const Errors& errors, const std::string& metric) {
  json.member("cases", errors.count);
  const bool any = errors.worst != nullptr;
  json.member("median_abs_error_pct", any ? std::optional(errors.median) : std::nullopt);
  json.member("p90_abs_error_pct", any ? std::optional(errors.p90) : std::nullopt);
  json.key("worst");
  if (!any) {
    json.value(nullptr);
    return;
  }
  json.begin_object().member("id", errors.worst->row.id).member("metric", metric);
  json.member("error_pct", errors.worst_pct).end_object();
}

// Milliseconds of the host by engine version, in the order of the table.
std::vector<std::pair<std::string, HostCost>> hosts(const std::vector<Prediction>& predictions) {
  std::vector<std::pair<std::string, HostCost>> out;
  for (const Prediction& p : predictions) {
    const bool known =
        std::ranges::any_of(out, [&](const auto& host) { return host.first == p.engine_release; });
    if (!known && p.refused.empty()) out.emplace_back(p.engine_release, p.host);
  }
  return out;
}

std::string json_of(const std::vector<Prediction>& predictions, const ServingConstants& constants) {
  JsonWriter json(2);
  json.begin_object().key("cases").begin_array();
  std::vector<double> all;
  for (const Prediction& p : predictions) {
    for (const char* metric : kMetrics) {
      const Figure* f = p.find(metric);
      if (f == nullptr && (metric == kPopulation || p.refused.empty())) continue;
      json.begin_object().member("id", p.row.id).member("metric", metric);
      json.member("coverage", p.row.coverage);
      json.member("reported", f == nullptr ? std::nullopt : std::optional(f->reported));
      json.member("predicted", f == nullptr ? std::nullopt : std::optional(f->predicted));
      json.member("error_pct", f == nullptr ? std::nullopt : std::optional(f->error_pct()));
      json.member("counts", f != nullptr && counts(p, metric));
      json.member("refused", p.refused).end_object();
      if (f != nullptr && counts(p, metric)) all.push_back(std::abs(f->error_pct()));
    }
  }
  json.end_array();
  const Distribution d = describe(all);
  json.member("median_abs_error_pct", d.count > 0 ? std::optional(d.p50) : std::nullopt);
  json.member("p90_abs_error_pct", d.count > 0 ? std::optional(d.p90) : std::nullopt);
  Errors worst;
  std::string worst_metric;
  for (const char* metric : kMetrics) {
    const Errors one = errors_of(predictions, metric);
    if (one.worst == nullptr || std::abs(one.worst_pct) <= std::abs(worst.worst_pct)) continue;
    worst = one;
    worst_metric = metric;
  }
  json.key("worst");
  if (worst.worst == nullptr) {
    json.value(nullptr);
  } else {
    json.begin_object().member("id", worst.worst->row.id).member("metric", worst_metric);
    json.member("error_pct", worst.worst_pct).end_object();
  }
  json.key("by_coverage").begin_array();
  for (const std::string& coverage : coverages(predictions)) {
    for (const char* metric : kMetrics) {
      const Errors one = errors_of(predictions, metric, coverage);
      if (one.count == 0) continue;
      json.begin_object().member("coverage", coverage).member("metric", metric);
      write_errors(json, one, metric);
      json.end_object();
    }
  }
  json.end_array();
  json.key("host").begin_array();
  for (const auto& [release, host] : hosts(predictions)) {
    json.begin_object().member("engine", release);
    json.member("eager_layer_ms", 1000 * to_seconds(host.eager_layer));
    json.member("graph_step_ms", 1000 * to_seconds(host.graph_step));
    json.member("prompt_token_us", 1e6 * to_seconds(host.prompt_token)).end_object();
  }
  json.end_array();
  json.key("acceptance").begin_array();
  for (const auto& one : constants.acceptance) {
    json.begin_object().member("model", one.model).member("strategy", one.strategy);
    json.member("length", one.length).end_object();
  }
  json.end_array().end_object();
  return json.text();
}

std::string shown_figure(double value) {
  return grouped(value, value < 100 ? 2 : (value < 1000 ? 1 : 0));
}

std::string free_numbers(const std::vector<Prediction>& predictions,
                         const ServingConstants& constants) {
  std::string out =
      "\nFree numbers, all of them (scenarios/serving_cases.yaml, scenarios/engines):\n";
  for (const auto& one : constants.acceptance) {
    out +=
        fmt::format("  accepted tokens a step, {} {}: {:g}\n", one.model, one.strategy, one.length);
  }
  for (const auto& [release, host] : hosts(predictions)) {
    out += fmt::format(
        "  host, {}: {:g} ms to launch a layer without a graph, as much a step from "
        "one; {:g} us to read a token of a prompt (assumed)\n",
        release, 1000 * to_seconds(host.eager_layer), 1e6 * to_seconds(host.prompt_token));
  }
  return out;
}

// Where the time of a row's steps goes.
std::string explanation(const Prediction& p) {
  const StepLedgers& l = p.ledgers;
  std::string out =
      fmt::format("\n{}: profile {}\n", p.row.id, p.profile.empty() ? "none, roofline" : p.profile);
  for (const auto& [name, ledger, steps] : {std::tuple{"decode", &l.decode, l.decode_steps},
                                            std::tuple{"prefill", &l.prefill, l.prefill_steps}}) {
    if (steps == 0) continue;
    double sum = 0;
    for (const auto& [part, seconds] : ledger->seconds()) sum += seconds;
    out += fmt::format("  {} {} steps, mean {:.2f} ms:\n", grouped(steps), name,
                       1000 * sum / static_cast<double>(steps));
    std::vector<std::pair<double, std::string>> parts;
    for (const auto& [part, seconds] : ledger->seconds()) parts.emplace_back(seconds, part);
    std::ranges::sort(parts, std::greater<>());
    for (const auto& [seconds, part] : parts) {
      if (seconds < 0.001 * sum) continue;
      out += fmt::format("    {:<32} {:8.3f} ms {:6.1f} %\n", part,
                         1000 * seconds / static_cast<double>(steps), 100 * seconds / sum);
    }
  }
  if (l.decoding_s > 0) {
    out += fmt::format(
        "  of the time that requests decode, {:.1f} % pass in steps with prompt "
        "tokens: that part of TPOT is prefill interference\n",
        100 * l.decoding_beside_prefill_s / l.decoding_s);
  }
  const TimeShareFractions share = fractions(p.result.totals.share);
  out += fmt::format(
      "  of the time: measured {:.1f} %, between samples {:.1f} %, outside them "
      "{:.1f} %, transferred {:.1f} %, roofline {:.1f} %, host {:.1f} %\n",
      100 * share.measured, 100 * share.interpolated, 100 * share.extrapolated,
      100 * share.transferred, 100 * share.roofline, 100 * share.host);
  for (const std::string& part : p.missing) out += "  not in the profile: " + part + '\n';
  return out;
}

std::string text_of(const std::vector<Prediction>& predictions, const ServingConstants& constants,
                    const ServingRequest& request, const TextStyle& style) {
  std::vector<std::string> header{"case", "coverage"};
  for (const char* metric : {"TTFT, ms", "TPOT, ms", "output, tok/s/GPU", "decoding"}) {
    header.emplace_back(metric);
    header.emplace_back("error, %");
  }
  Table table(header);
  std::string notes;
  for (const Prediction& p : predictions) {
    std::vector<std::string> cells{p.row.id, p.row.coverage};
    for (const char* metric : kMetrics) {
      const Figure* f = p.find(metric);
      cells.push_back(
          f == nullptr ? "-" : shown_figure(f->reported) + " > " + shown_figure(f->predicted));
      const std::string error = f == nullptr ? "-" : fmt::format("{:+.1f}", f->error_pct());
      cells.push_back(f != nullptr && !counts(p, metric) ? '(' + error + ')' : error);
    }
    table.row(std::move(cells));
    if (!p.refused.empty()) notes += "  " + p.row.id + ": " + p.refused + '\n';
  }
  std::string out = table.text(style) +
                    "\nreported > predicted. In parentheses: not counted below (TTFT of rows with "
                    "more than 64 requests in flight, throughput and population of rows with "
                    "fewer: the queue, or the client, decides them).\n\n";
  for (const std::string& coverage : coverages(predictions)) {
    for (const char* metric : kMetrics) {
      const Errors e = errors_of(predictions, metric, coverage);
      if (e.count == 0) continue;
      out += fmt::format("{}, {} ({}): median error {:.1f} %, p90 {:.1f} %, worst {:+.1f} % ({})\n",
                         coverage, metric, e.count, e.median, e.p90, e.worst_pct, e.worst->row.id);
    }
  }
  out += free_numbers(predictions, constants);
  if (!notes.empty()) out += "\nwithout a prediction:\n" + notes;
  for (const Prediction& p : predictions) {
    if (p.row.id == request.explain) out += explanation(p);
  }
  return out;
}

const ServingCase& case_named(const std::vector<ServingCase>& cases, const std::string& id) {
  std::vector<std::string> ids;
  for (const ServingCase& c : cases) {
    if (c.id == id) return c;
    ids.push_back(c.id);
  }
  throw InputError(Place{}, "unknown row '" + id + "'" + suggestion(id, ids));
}

}  // namespace

CaseReport predict_serving(const CaseRows& rows, const ServingRequest& request,
                           const TextStyle& style) {
  const std::vector<ServingCase> all = serving_cases(rows);
  const ServingConstants constants = load_serving_constants();
  if (!request.explain.empty()) case_named(all, request.explain);
  std::vector<const ServingCase*> wanted;
  for (const ServingCase& c : all) {
    if (c.id.find(request.only) != std::string::npos) wanted.push_back(&c);
  }
  if (wanted.empty()) throw InputError(Place{}, "no row has '" + request.only + "' in its id");
  if (request.explain.find(request.only) == std::string::npos && !request.explain.empty()) {
    throw InputError(Place{}, "row '" + request.explain + "' is to be explained and has no '" +
                                  request.only + "' in its id");
  }
  std::vector<Prediction> predictions(wanted.size());
  parallel_for(
      wanted.size(),
      [&](std::size_t i) { predictions[i] = predict(all, *wanted[i], constants, request); },
      request.threads);
  const bool any =
      std::ranges::any_of(predictions, [](const Prediction& p) { return p.refused.empty(); });
  return {json_of(predictions, constants), text_of(predictions, constants, request, style), any};
}

std::string serving_scenario(const CaseRows& rows, const ServingRequest& request) {
  const std::vector<ServingCase> all = serving_cases(rows);
  const ServingConstants constants = load_serving_constants();
  return scenario_of(all, case_named(all, request.scenario), constants, request.set).resolved_yaml;
}

}  // namespace v4cap
