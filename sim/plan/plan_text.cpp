#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/plan/plan_numbers.h"
#include "sim/plan/plan_report.h"

namespace v4cap {

namespace {

constexpr std::size_t kColumns = 100;

class PlanText {
 public:
  PlanText(const PlanFile& file, const PlanAnswer& answer, const TextStyle& style)
      : file_(file), answer_(answer), style_(style) {}

  std::string first_lines() const {
    if (!answer_.best) return nothing();
    std::string out;
    for (const AnswerLine& l : lines()) {
      out +=
          l.name.empty() ? style_.heading(wrapped(l.text, kColumns)) + '\n' : line(l.name, l.text);
    }
    return out;
  }

  std::vector<AnswerLine> lines() const {
    if (answer_.best) return verdict();
    return {{"", std::string(kNothing) + ": " + nothing_text()}};
  }

  std::string text() const {
    std::string out = first_lines() + '\n' + deployments();
    if (!answer_.best) return out;
    out += frontier() + levers() + costs() + launch();
    return out;
  }

 private:
  const DeploymentResult& best() const { return answer_.deployments[*answer_.best]; }

  std::string load_text(double load) const { return plan_number(load) + ' ' + name_of(file_.unit); }

  std::string slo() const {
    std::string out;
    for (const Condition& c : file_.rules.thresholds) out += (out.empty() ? "" : ", ") + c.text();
    return out;
  }

  // "data_parallel 8, step_tokens 8192": where deployments differ, or the base's name.
  std::string name_of_deployment(const DeploymentResult& d) const {
    const std::vector<std::string> paths = paths_of_axes(answer_.plan);
    std::string out;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const bool same = std::ranges::all_of(
          answer_.deployments,
          [&](const DeploymentResult& other) { return other.values[i] == d.values[i]; });
      if (same) continue;
      const std::size_t dot = paths[i].rfind('.');
      out += (out.empty() ? "" : ", ") + paths[i].substr(dot == std::string::npos ? 0 : dot + 1) +
             ' ' + d.values[i];
    }
    return out.empty() ? d.scenario.name : out;
  }

  static constexpr const char* kNothing = "Nothing carries this traffic within the SLO";

  std::string nothing_text() const {
    return slo() + " is missed at " + load_text(file_.load.from) +
           ", the least that was asked for, by every deployment that can run.";
  }

  std::string nothing() const {
    return wrapped(style_.heading(kNothing) + ": " + nothing_text(), kColumns) + '\n';
  }

  std::vector<AnswerLine> verdict() const {
    const DeploymentResult& d = best();
    const std::int64_t gpus = d.scenario.deployment.gpus();
    std::string head;
    if (file_.asked) {
      head = fmt::format("{} within {}: {} x ({}), {} GPUs of {}", load_text(*file_.asked), slo(),
                         d.replicas, name_of_deployment(d), d.replicas * gpus,
                         d.scenario.hardware.name);
    } else {
      head = fmt::format("{} within {}: {}, {} GPUs of {}", load_text(d.held), slo(),
                         name_of_deployment(d), gpus, d.scenario.hardware.name);
    }
    if (!file_.asked) {
      head += fmt::format(", {} {} a {} at {}", plan_money(d.price), money_unit(),
                          task_name(file_.rules.sample, answer_.at_load.front()),
                          load_text(answer_.replica_load));
    }
    if (file_.prices) {
      head += fmt::format(", {} {} an hour", plan_money(answer_.money.hour), answer_.money.unit);
    }
    std::vector<AnswerLine> out = {
        {"", head},
        {"holds", holds()},
        {"binds", binds()},
        {"next", next_lever()},
        {"profile", answer_.error.profile + ": " + answer_.error.origin}};
    for (const Trial& t : answer_.at_load) {
      if (t.met) continue;
      out.push_back({"but", fmt::format("seed {} misses the SLO at {}: {}", t.seed,
                                        load_text(t.load), t.missed)});
    }
    return out;
  }

  std::string line(const std::string& name, const std::string& text) const {
    std::string out = wrapped(fmt::format("{:<9}{}", name, text), kColumns);
    for (std::size_t at = out.find('\n'); at != std::string::npos; at = out.find('\n', at + 1)) {
      out.insert(at + 1, 9, ' ');
    }
    return "  " + out + '\n';
  }

  std::string holds() const {
    const DeploymentResult& d = best();
    const HeldLoad& first = d.by_seed.front();
    std::string out =
        fmt::format("one engine {}{}", first.failing ? "" : "at least ", load_text(d.held));
    out += fmt::format("; {} seeds: {}", d.by_seed.size(),
                       plan_range(answer_.held.low, answer_.held.high));
    if (answer_.held.t95_low && answer_.held.low < answer_.held.high) {
      out += fmt::format(", mean {} (95 %: {})", plan_number(answer_.held.mean),
                         plan_range(std::max(0.0, *answer_.held.t95_low), *answer_.held.t95_high));
    }
    if (answer_.error.percent) {
      out += fmt::format("; steps {:.1f} % longer or shorter: {}{}", *answer_.error.percent,
                         plan_range(answer_.error_low(), answer_.error_high()),
                         first.failing ? "" : " or more");
      out += " (" + answer_.error.source + ')';
    } else {
      out += "; " + answer_.error.source;
    }
    if (std::ranges::any_of(d.by_seed, &HeldLoad::noisy)) {
      out += "; some larger loads were kept by luck and do not count";
    }
    return out;
  }

  std::string binds() const {
    const Trial& t = answer_.beyond ? *answer_.beyond : answer_.at_load.front();
    constexpr std::string_view kMemory = "memory:";
    std::string what = t.binding;
    if (what.starts_with(kMemory)) what = "KV memory, pool " + what.substr(kMemory.size());
    if (what == "running_cap") what = "the cap on running requests";
    std::string out =
        fmt::format("{}, {}{:.0f} % of the busy time", what,
                    t.binding_waits ? "for which requests waited " : "", 100 * t.binding_share);
    if (const auto share = answer_.at_load.front().link_share) {
      out += fmt::format("; {:.0f} % of the steps is the link between GPUs", 100 * *share);
    }
    if (!t.missed.empty()) out += fmt::format("; at {}: {}", load_text(t.load), t.missed);
    return out;
  }

  std::string next_lever() const {
    if (answer_.levers.empty()) return "no lever was tried";
    const LeverGain& g = answer_.levers.front();
    if (g.gain <= 0) {
      return fmt::format("none of {} levers holds more", answer_.levers.size());
    }
    return fmt::format("{}: seed {} holds {} instead of {} ({:+.0f} %)", g.lever.name,
                       file_.seeds.front(), load_text(g.held), plan_number(g.held_without),
                       100 * g.gain);
  }

  std::string deployments() const {
    std::vector<std::string> header = {"deployment", "no.", "GPUs", "holds", "seeds", "engines"};
    header.push_back(file_.asked ? money_unit() + "/h" : money_unit() + " a task");
    Table table(header);
    std::map<std::string, std::vector<std::string>> reasons;  // with the deployments' numbers
    for (std::size_t i = 0; i < answer_.deployments.size(); ++i) {
      const DeploymentResult& d = answer_.deployments[i];
      const std::string name =
          (answer_.best && i == *answer_.best ? "* " : "  ") + name_of_deployment(d);
      const std::string gpus = grouped(d.scenario.deployment.gpus());
      if (const std::string reason = why_not(file_, d); !reason.empty()) {
        reasons[reason].push_back(std::to_string(i + 1));
      }
      if (!d.reason.empty()) {
        table.row({name, std::to_string(i + 1), gpus, "does not run", "-", "-", "-"});
        continue;
      }
      std::string held = d.held > 0 ? plan_number(d.held) : "none";
      if (d.size < 1) held += fmt::format(" on {:.0f} %", 100 * d.size);
      table.row({name, std::to_string(i + 1), gpus, held, std::to_string(d.by_seed.size()),
                 d.replicas > 0 ? grouped(d.replicas) : "-",
                 d.replicas > 0 ? plan_money(d.price) : "-"});
    }
    std::string out = table.text(style_);
    for (const auto& [reason, numbers] : reasons) {
      out += wrapped(fmt::format("no. {}: {}", fmt::join(numbers, ", "), reason), kColumns) + '\n';
    }
    out += fmt::format(
        "{} of {} deployments at full length, {} with every seed (the rest cannot be "
        "cheaper), {:.0f} % of the space skipped, {} runs",
        answer_.at_full_length, answer_.deployments.size(), answer_.with_every_seed,
        100 * answer_.skipped_share(), grouped(answer_.runs));
    if (answer_.plan.left_out > 0) {
      out += fmt::format("; {} left out by constraints", answer_.plan.left_out);
    }
    return out + '\n';
  }

  std::string money_unit() const { return file_.prices ? file_.prices->currency : "GPU-hours"; }

  std::string frontier() const {
    if (answer_.frontier.empty()) return "";
    Table table({"tok/s of one user", "tok/s of one GPU", "load", "within the SLO", "no."});
    for (const FrontierPoint& p : answer_.frontier) {
      table.row({plan_number(p.trial.interactivity), plan_number(p.trial.tok_s_per_gpu),
                 plan_number(p.trial.load), p.trial.met ? "yes" : "no",
                 std::to_string(p.deployment + 1)});
    }
    const std::string which = fmt::format(
        "All {} deployments at full length were compared under the load of a GPU of every line, "
        "and "
        "run there unless their other runs say that they cannot beat it.",
        answer_.at_full_length);
    return '\n' + style_.heading("Throughput against interactivity") +
           " (cached, computed and output tokens; median user)\n" + table.text(style_) +
           (answer_.at_full_length > 1 ? wrapped(which, kColumns) + '\n' : "");
  }

  std::string levers() const {
    if (answer_.levers.empty()) return "";
    Table table({"lever", fmt::format("seed {} holds", file_.seeds.front()), "gain"});
    table.row({"none", plan_number(answer_.levers.front().held_without), "-"});
    std::string reasons;
    for (const LeverGain& g : answer_.levers) {
      if (!g.reason.empty()) {
        table.row({g.lever.name, "-", "-"});
        reasons += wrapped("cannot run: " + g.lever.name + ": " + g.reason, kColumns) + '\n';
        continue;
      }
      table.row({g.lever.name, g.gain > 0 ? plan_number(g.held) : "no more",
                 g.gain > 0 ? fmt::format("{:+.0f} %", 100 * g.gain) : "-"});
    }
    return '\n' + table.text(style_) + reasons;
  }

  std::string costs() const {
    const MoneyAnswer& m = answer_.money;
    const std::string title =
        fmt::format("{} at {} an engine", m.unit, load_text(answer_.replica_load));
    Table table({title, "mean", "seeds"});
    const auto row = [&](const std::string& name, const std::optional<SeedInterval>& figure) {
      if (!figure) return;
      table.row({name, plan_money(figure->mean),
                 plan_money(figure->low) + " to " + plan_money(figure->high)});
    };
    row("a million input tokens", m.input);
    row("a million cached tokens", m.cached);
    row("a million output tokens", m.output);
    row("a million tokens of all", m.all_tokens);
    // Requests of a trace without sessions are counted once.
    const bool sessions =
        answer_.at_load.front().sessions < static_cast<double>(answer_.at_load.front().requests);
    if (file_.rules.sample.barrier) {
      row("a trajectory", m.session);
    } else if (sessions) {
      row("a session", m.session);
    }
    if (sessions || !file_.rules.sample.barrier) row("a request", m.request);
    row("revenue an hour", m.revenue_hour);
    row("revenue less GPUs, an hour", m.margin_hour);
    std::string out = '\n' + table.text(style_);
    if (m.load_after_loss) {
      out += wrapped(fmt::format("Losing one of {} engines leaves {} on each of the others, which "
                                 "they {}; one to spare (N+1): {} {} an hour.",
                                 m.replicas, load_text(*m.load_after_loss),
                                 m.holds_after_loss ? "hold" : "do not hold",
                                 plan_money(m.spare_hour), m.unit),
                     kColumns);
    } else {
      out += wrapped(fmt::format("There is a single engine: losing it loses all. One to spare "
                                 "(N+1): {} {} an hour.",
                                 plan_money(m.spare_hour), m.unit),
                     kColumns);
    }
    out += '\n';
    if (file_.prices) {
      const GpuPrice& gpu = file_.prices->gpu_hour.at(best().scenario.hardware.gpu.name);
      out += wrapped(fmt::format(
                         "Prices are data of {} ({}): {} {} for an hour of one {} ({}){}.",
                         file_.prices->date, file_.prices->name, plan_money(gpu.per_hour),
                         file_.prices->currency, best().scenario.hardware.gpu.name, gpu.source,
                         file_.prices->tokens ? "; tokens: " + file_.prices->tokens->source : ""),
                     kColumns) +
             '\n';
    }
    return out;
  }

  std::string launch() const {
    const LaunchCommand& l = answer_.launch;
    if (l.text.empty()) {
      return wrapped("\nNo launch command: layout " + best().scenario.kv_cache.layout +
                         " is no engine's.",
                     kColumns) +
             '\n';
    }
    std::string out =
        '\n' + style_.heading("Launch command, read back by v4cap import") + '\n' + l.text + '\n';
    for (const KeyDifference& d : l.differences) {
      out += fmt::format("no flag says {}: {} (import takes {})\n", d.path, d.ours, d.imported);
    }
    return out;
  }

  const PlanFile& file_;
  const PlanAnswer& answer_;
  TextStyle style_;
};

}  // namespace

std::string plan_report_text(const PlanFile& file, const PlanAnswer& answer,
                             const TextStyle& style) {
  return PlanText(file, answer, style).text();
}

std::vector<AnswerLine> plan_answer_lines(const PlanFile& file, const PlanAnswer& answer) {
  return PlanText(file, answer, TextStyle{}).lines();
}

std::string plan_verdict_text(const PlanFile& file, const PlanAnswer& answer,
                              const TextStyle& style) {
  return PlanText(file, answer, style).first_lines();
}

}  // namespace v4cap
