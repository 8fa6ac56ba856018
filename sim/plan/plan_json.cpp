#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/output/json_writer.h"
#include "sim/output/version.h"
#include "sim/plan/plan_report.h"
#include "sim/sweep/export.h"

namespace v4cap {

namespace {

// Figures of a run that a table of runs shows.
const std::vector<std::string>& run_figures() {
  static const std::vector<std::string> names = {"ttft_ms.p50", "ttft_ms.p99", "tpot_ms.p50",
                                                 "tpot_ms.p99", "e2el_ms.p50", "hit_rate",
                                                 "requests",    "preemptions", "saturated"};
  return names;
}

class PlanJson {
 public:
  PlanJson(const PlanFile& file, const PlanAnswer& answer, JsonWriter& json)
      : file_(file), answer_(answer), json_(json) {}

  void write() {
    json_.begin_object().member("source", "simulated");
    json_.member("simulator_version", simulator_version());
    json_.member("definitions_version", kDefinitionsVersion).member("plan", file_.sweep.name);
    json_.key("thresholds").begin_array();
    for (const Condition& c : file_.rules.thresholds) json_.value(c.text());
    json_.end_array().member("load_unit", name_of(file_.unit)).member("asked_load", file_.asked);
    json_.key("seeds").begin_array();
    for (const std::uint64_t seed : file_.seeds) json_.value(seed);
    json_.end_array();
    json_.key("answer").begin_array();
    for (const AnswerLine& line : plan_answer_lines(file_, answer_)) {
      json_.begin_object().member("name", line.name).member("text", line.text).end_object();
    }
    json_.end_array();
    search();
    json_.key("best");
    if (answer_.best) {
      best();
    } else {
      json_.value(nullptr);
    }
    frontier();
    deployments();
    infeasible();
    json_.end_object();
  }

 private:
  void search() {
    json_.key("search").begin_object().member("deployments", answer_.deployments.size());
    json_.member("left_out", answer_.plan.left_out);
    json_.member("at_full_length", answer_.at_full_length);
    json_.member("with_every_seed", answer_.with_every_seed).member("rounds", answer_.rounds);
    json_.member("skipped_share", answer_.skipped_share()).member("runs", answer_.runs);
    json_.end_object();
  }

  void axes(const DeploymentResult& d) {
    const std::vector<std::string> paths = paths_of_axes(answer_.plan);
    json_.key("keys").begin_object();
    for (std::size_t i = 0; i < paths.size(); ++i) {
      json_.key(paths[i]);
      write_typed(json_, d.values[i]);
    }
    json_.end_object();
  }

  void interval(std::string_view name, const std::optional<SeedInterval>& figure) {
    write_interval(json_, name, figure);
  }

  void trial(const Trial& t) {
    json_.begin_object().member("load", t.load).member("seed", t.seed).member("met", t.met);
    json_.member("missed", t.missed).member("binding", t.binding);
    json_.member("binding_share", t.binding_share).member("binding_waits", t.binding_waits);
    json_.member("link_share", t.link_share);
    json_.member("window_s", t.window_s).member("sessions", t.sessions);
    json_.member("requests_in_window", t.requests);
    json_.member("hit_tokens", t.hit.value).member("computed_tokens", t.computed.value);
    json_.member("rebuilt_tokens", t.rebuilt.value).member("output_tokens", t.output.value);
    json_.member("interactivity_tok_s", t.interactivity).member("tok_s_per_gpu", t.tok_s_per_gpu);
    json_.member("output_tok_s", t.output_tok_s);
    for (const char* name :
         {"ttft_ms.p50", "ttft_ms.p99", "tpot_ms.p50", "tpot_ms.p99", "hit_rate", kGoodputFigure}) {
      json_.member(name, t.figure(name));
    }
    json_.end_object();
  }

  void best() {
    const DeploymentResult& d = answer_.deployments[*answer_.best];
    json_.begin_object();
    axes(d);
    json_.member("hardware", d.scenario.hardware.name);
    json_.member("gpus_per_engine", d.scenario.deployment.gpus());
    json_.member("engines", d.replicas).member("gpus", d.replicas * d.scenario.deployment.gpus());
    json_.member("held_per_engine", d.held).member("replica_load", answer_.replica_load);
    interval("held_over_seeds", answer_.held);
    json_.member("noisy", std::ranges::any_of(d.by_seed, &HeldLoad::noisy));
    json_.key("profile").begin_object().member("name", answer_.error.profile);
    json_.member("origin", answer_.error.origin).member("error_pct", answer_.error.percent);
    json_.member("error_source", answer_.error.source);
    const bool known = answer_.held_slow && answer_.held_fast;
    json_.member("held_if_steps_are_longer",
                 known ? std::optional(answer_.error_low()) : std::nullopt);
    json_.member("held_if_steps_are_shorter",
                 known ? std::optional(answer_.error_high()) : std::nullopt);
    json_.end_object();
    const Trial& binds = answer_.beyond ? *answer_.beyond : answer_.at_load.front();
    json_.member("binding", binds.binding).member("binding_share", binds.binding_share);
    json_.member("binding_waits", binds.binding_waits);
    json_.member("misses_first", binds.missed);
    json_.key("at_load").begin_array();
    for (const Trial& t : answer_.at_load) trial(t);
    json_.end_array();
    levers();
    money();
    launch();
    json_.end_object();
  }

  void levers() {
    json_.key("levers").begin_array();
    for (const LeverGain& g : answer_.levers) {
      json_.begin_object().member("name", g.lever.name).key("set").begin_object();
      for (const auto& [path, value] : g.lever.set) {
        json_.key(path);
        write_typed(json_, value);
      }
      json_.end_object().member("reason", g.reason).member("seed", file_.seeds.front());
      json_.member("held", g.held).member("held_without", g.held_without);
      json_.member("gain", g.gain).end_object();
    }
    json_.end_array();
  }

  void money() {
    const MoneyAnswer& m = answer_.money;
    json_.key("money").begin_object().member("unit", m.unit);
    json_.member("prices",
                 file_.prices ? std::optional<std::string_view>(file_.prices->name) : std::nullopt);
    json_.member("prices_date",
                 file_.prices ? std::optional<std::string_view>(file_.prices->date) : std::nullopt);
    json_.member("gpu_hour", m.gpu_hour).member("hour", m.hour).member("spare_hour", m.spare_hour);
    json_.member("load_after_loss", m.load_after_loss);
    json_.member("holds_after_loss", m.holds_after_loss);
    interval("million_input_tokens", m.input);
    interval("million_cached_tokens", m.cached);
    interval("million_output_tokens", m.output);
    interval("million_tokens", m.all_tokens);
    interval(file_.rules.sample.barrier ? "trajectory" : "session", m.session);
    interval("request", m.request);
    interval("revenue_hour", m.revenue_hour);
    interval("margin_hour", m.margin_hour);
    json_.end_object();
  }

  void launch() {
    const LaunchCommand& l = answer_.launch;
    json_.key("launch").begin_object().member("engine", l.engine).member("command", l.text);
    json_.key("differences").begin_array();
    for (const KeyDifference& d : l.differences) {
      json_.begin_object().member("key", d.path).member("scenario", d.ours);
      json_.member("imported", d.imported).end_object();
    }
    json_.end_array().end_object();
  }

  void frontier() {
    json_.key("frontier").begin_array();
    for (const FrontierPoint& p : answer_.frontier) {
      json_.begin_object();
      axes(answer_.deployments[p.deployment]);
      json_.key("run");
      trial(p.trial);
      json_.end_object();
    }
    json_.end_array();
  }

  void deployments() {
    json_.key("deployments").begin_array();
    for (const DeploymentResult& d : answer_.deployments) {
      if (!d.reason.empty()) continue;
      json_.begin_object();
      axes(d);
      json_.member("gpus", d.scenario.deployment.gpus()).member("size", d.size);
      json_.member("held", d.held).member("engines", d.replicas);
      json_.member(file_.asked ? "price_per_hour" : "task_cost",
                   d.replicas > 0 ? std::optional(d.price) : std::nullopt);
      json_.key("by_seed").begin_array();
      for (const HeldLoad& one : d.by_seed) {
        json_.begin_object().member("held", one.held).member("failing", one.failing);
        json_.member("noisy", one.noisy).member("runs", one.probes.size()).end_object();
      }
      json_.end_array().end_object();
    }
    json_.end_array();
  }

  void infeasible() {
    json_.key("infeasible").begin_array();
    for (const DeploymentResult& d : answer_.deployments) {
      if (d.keeps_slo()) continue;
      json_.begin_object();
      axes(d);
      json_.member("reason", why_not(file_, d)).end_object();
    }
    json_.end_array();
  }

  const PlanFile& file_;
  const PlanAnswer& answer_;
  JsonWriter& json_;
};

std::string field(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

void append(std::vector<std::string>& row, std::initializer_list<std::string> more) {
  row.insert(row.end(), more);
}

std::string deployments_csv(const PlanFile& file, const PlanAnswer& answer) {
  std::vector<std::string> header = paths_of_axes(answer.plan);
  append(header, {"gpus", "status", "reason", "size", "held", "held_low", "held_high", "engines",
                  file.asked ? "price_per_hour" : "task_cost"});
  std::string out = csv_line(header);
  for (const DeploymentResult& d : answer.deployments) {
    std::vector<std::string> row = d.values;
    std::vector<double> held;
    for (const HeldLoad& one : d.by_seed) held.push_back(one.held);
    const SeedInterval seeds = interval_of(held);
    append(row, {std::to_string(d.scenario.deployment.gpus()),
                 !d.reason.empty() ? "infeasible"
                 : d.held > 0      ? "done"
                                   : "slo_missed",
                 d.reason, field(d.size), field(d.held), field(seeds.low), field(seeds.high),
                 std::to_string(d.replicas), d.replicas > 0 ? field(d.price) : ""});
    out += csv_line(row);
  }
  return out;
}

std::vector<std::string> run_header(const PlanAnswer& answer) {
  std::vector<std::string> header = paths_of_axes(answer.plan);
  append(header,
         {"load", "seed", "met", "missed", "interactivity_tok_s", "tok_s_per_gpu", "output_tok_s",
          "window_s", "sessions", "binding_constraint", "binding_share", "binding_waits"});
  header.insert(header.end(), run_figures().begin(), run_figures().end());
  return header;
}

std::string run_row(const DeploymentResult& d, const Trial& t) {
  std::vector<std::string> row = d.values;
  append(row, {field(t.load), std::to_string(t.seed), t.met ? "true" : "false", t.missed,
               field(t.interactivity), field(t.tok_s_per_gpu), field(t.output_tok_s),
               field(t.window_s), field(t.sessions), t.binding, field(t.binding_share),
               t.binding_waits ? "true" : "false"});
  for (const std::string& name : run_figures()) {
    const auto found = std::ranges::find(t.figures, name, &Figures::value_type::first);
    row.push_back(found == t.figures.end() ? "" : found->second);
  }
  return csv_line(row);
}

std::string runs_csv(const PlanAnswer& answer) {
  std::string out = csv_line(run_header(answer));
  for (const DeploymentResult& d : answer.deployments) {
    for (const Trial& t : d.trials) out += run_row(d, t);
    for (const Trial& t : d.for_front) out += run_row(d, t);
  }
  return out;
}

std::string frontier_csv(const PlanAnswer& answer) {
  std::string out = csv_line(run_header(answer));
  for (const FrontierPoint& p : answer.frontier) {
    out += run_row(answer.deployments[p.deployment], p.trial);
  }
  return out;
}

}  // namespace

void write_interval(JsonWriter& json, std::string_view name,
                    const std::optional<SeedInterval>& figure) {
  json.key(name);
  if (!figure) {
    json.value(nullptr);
    return;
  }
  json.begin_object().member("mean", figure->mean).member("low", figure->low);
  json.member("high", figure->high).member("t95_low", figure->t95_low);
  json.member("t95_high", figure->t95_high).end_object();
}

void write_plan(JsonWriter& json, const PlanFile& file, const PlanAnswer& answer) {
  PlanJson(file, answer, json).write();
}

std::string plan_report_json(const PlanFile& file, const PlanAnswer& answer) {
  JsonWriter json{1};
  write_plan(json, file, answer);
  return json.text() + '\n';
}

std::vector<RunFile> plan_report_files(const PlanFile& file, const PlanAnswer& answer) {
  std::vector<RunFile> files = {
      {kPlanAnswerFile, [&](const TextSink& out) { out(plan_report_json(file, answer)); }},
      {"deployments.csv", [&](const TextSink& out) { out(deployments_csv(file, answer)); }},
      {"frontier.csv", [&](const TextSink& out) { out(frontier_csv(answer)); }},
      {"runs.csv", [&](const TextSink& out) { out(runs_csv(answer)); }},
  };
  if (answer.best) {
    files.push_back({"profile.yaml", [&](const TextSink& out) { out(answer.profile_yaml); }});
  }
  return files;
}

}  // namespace v4cap
