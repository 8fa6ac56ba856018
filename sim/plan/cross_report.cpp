// Of several plans: what each one's profile costs under the others' traffic.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/output/text_width.h"
#include "sim/output/version.h"
#include "sim/plan/plan_numbers.h"
#include "sim/plan/plan_report.h"
#include "sim/sweep/export.h"

namespace v4cap {

namespace {

constexpr std::size_t kColumns = 100;

class CrossText {
 public:
  CrossText(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross, const TextStyle& style)
      : plans_(plans), cross_(cross), style_(style) {}

  std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      out += style_.heading("Plan " + name(i)) + '\n' +
             plan_verdict_text(plans_[i].file, plans_[i].answer, style_) + '\n';
    }
    return out + style_.heading("The profile of one traffic under another") + '\n' + table() +
           notes();
  }

 private:
  const PlanFile& file(std::size_t plan) const { return plans_[plan].file; }
  std::string name(std::size_t plan) const { return printable(file(plan).sweep.name); }

  std::string table() const {
    Table table({"traffic, profile of", "holds", "seeds", "engines", "GPUs", cross_.unit + "/h",
                 cross_.unit + " a task", "at", "extra", "seeds"});
    for (std::size_t t = 0; t < plans_.size(); ++t) {
      table.group(title(t));
      for (const CrossCell& cell : cross_.cells) {
        if (cell.traffic == t) table.row(row(cell));
      }
    }
    return table.text(style_);
  }

  std::string title(std::size_t t) const {
    const auto cell = std::ranges::find_if(
        cross_.cells, [&](const CrossCell& c) { return c.traffic == t && !c.task.empty(); });
    const std::string task = cell == cross_.cells.end() ? "" : ", a task is a " + cell->task;
    return name(t) + task;
  }

  std::vector<std::string> row(const CrossCell& cell) const {
    const std::string label = (cell.profile == cell.traffic ? "* " : "  ") + name(cell.profile);
    if (!cell.reason.empty()) return {label, "nothing", "-", "-", "-", "-", "-", "-", "-", "-"};
    std::string cost = "-", extra = "-", extra_of_seeds = "-";
    if (cell.task_interval) cost = plan_money(cell.task_interval->mean);
    if (cell.extra) {
      extra = percent(cell.extra->mean);
      extra_of_seeds = percent(cell.extra->low) + " to " + percent(cell.extra->high);
    }
    return {label,
            plan_number(cell.held),
            plan_range(cell.held_of_seeds.low, cell.held_of_seeds.high),
            file(cell.traffic).asked ? grouped(cell.engines) : "-",
            grouped(cell.gpus),
            plan_money(cell.hour),
            cost,
            plan_number(cell.cheapest_load),
            extra,
            extra_of_seeds};
  }

  static std::string percent(double share) { return fmt::format("{:+.0f} %", 100 * share); }

  std::string notes() const {
    std::string out;
    for (const CrossCell& cell : cross_.cells) {
      if (cell.reason.empty()) continue;
      out += wrapped(fmt::format("{} with the profile of {}: {}", name(cell.traffic),
                                 name(cell.profile), cell.reason),
                     kColumns) +
             '\n';
    }
    return out +
           wrapped(
               "* its own profile. holds: one engine, by every seed. A task costs what it "
               "does at that load within the SLO at which it costs least; extra is "
               "against the traffic's own profile, seed by seed. Below zero: a profile "
               "that the traffic's plan did not search or, with a load asked for, one "
               "that needs more engines but keeps them better at work.",
               kColumns) +
           '\n';
  }

  const std::vector<AnsweredPlan>& plans_;
  const CrossPlan& cross_;
  TextStyle style_;
};

std::string field(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

std::string cross_csv(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross) {
  std::string out =
      csv_line({"traffic",        "profile",        "reason",        "load_unit", "held",
                "held_low",       "held_high",      "asked",         "engines",   "gpus",
                "price_per_hour", "task",           "cheapest_load", "task_cost", "task_cost_low",
                "task_cost_high", "million_tokens", "extra",         "extra_low", "extra_high"});
  const auto three = [](std::vector<std::string>& row, const std::optional<SeedInterval>& figure) {
    for (double SeedInterval::*part :
         {&SeedInterval::mean, &SeedInterval::low, &SeedInterval::high}) {
      row.push_back(figure ? field((*figure).*part) : "");
    }
  };
  for (const CrossCell& cell : cross.cells) {
    const PlanFile& traffic = plans[cell.traffic].file;
    const bool serves = cell.reason.empty();
    const auto known = [&](const std::string& text) { return serves ? text : ""; };
    const auto maybe = [](const std::optional<double>& v) { return v ? field(*v) : ""; };
    std::vector<std::string> row = {traffic.sweep.name,
                                    plans[cell.profile].file.sweep.name,
                                    cell.reason,
                                    name_of(traffic.unit),
                                    field(cell.held),
                                    known(field(cell.held_of_seeds.low)),
                                    known(field(cell.held_of_seeds.high)),
                                    maybe(traffic.asked),
                                    known(std::to_string(cell.engines)),
                                    known(std::to_string(cell.gpus)),
                                    known(field(cell.hour)),
                                    cell.task,
                                    known(field(cell.cheapest_load))};
    three(row, cell.task_interval);
    row.push_back(cell.million_tokens ? field(cell.million_tokens->mean) : "");
    three(row, cell.extra);
    out += csv_line(row);
  }
  return out;
}

void write_cell(JsonWriter& json, const std::vector<AnsweredPlan>& plans, const CrossCell& cell) {
  const PlanFile& traffic = plans[cell.traffic].file;
  const bool serves = cell.reason.empty();
  const auto known = [&](auto value) { return serves ? std::optional(value) : std::nullopt; };
  json.begin_object().member("traffic", traffic.sweep.name);
  json.member("profile", plans[cell.profile].file.sweep.name).member("reason", cell.reason);
  json.member("load_unit", name_of(traffic.unit)).member("held_per_engine", cell.held);
  write_interval(json, "held_over_seeds", known(cell.held_of_seeds));
  json.member("asked_load", traffic.asked).member("engines", known(cell.engines));
  json.member("gpus", known(cell.gpus)).member("price_per_hour", known(cell.hour));
  json.member("task", cell.task).member("cheapest_load", known(cell.cheapest_load));
  write_interval(json, "task_cost", cell.task_interval);
  write_interval(json, "million_tokens", cell.million_tokens);
  write_interval(json, "extra", cell.extra);
  json.end_object();
}

}  // namespace

std::string plans_report_text(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross,
                              const TextStyle& style) {
  return CrossText(plans, cross, style).text();
}

std::string plans_report_json(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross) {
  JsonWriter json{1};
  json.begin_object().member("source", "simulated");
  json.member("simulator_version", simulator_version());
  json.member("definitions_version", kDefinitionsVersion).member("unit", cross.unit);
  json.key("plans").begin_array();
  for (const AnsweredPlan& plan : plans) write_plan(json, plan.file, plan.answer);
  json.end_array().key("cross").begin_array();
  for (const CrossCell& cell : cross.cells) write_cell(json, plans, cell);
  json.end_array().end_object();
  return json.text() + '\n';
}

std::vector<RunFile> plans_report_files(const std::vector<AnsweredPlan>& plans,
                                        const CrossPlan& cross) {
  return {
      {kPlansAnswerFile, [&](const TextSink& out) { out(plans_report_json(plans, cross)); }},
      {"cross.csv", [&](const TextSink& out) { out(cross_csv(plans, cross)); }},
  };
}

}  // namespace v4cap
