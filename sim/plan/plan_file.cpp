#include "sim/plan/plan_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "sim/app/scenario_options.h"
#include "sim/config/scenario_file.h"
#include "sim/config/section.h"

namespace v4cap {

namespace {

using Kind = YamlNode::Kind;

constexpr double kLoadMax = 1e6;
constexpr std::int64_t kSessionsMax = 1'000'000;

const std::vector<KeySpec>& goodput_keys() {
  static const std::vector<KeySpec> keys = {
      key_or<Duration>("ttft", "none", "time to first token of a good request, at most"),
      key_or<Duration>("tpot", "none", "time per output token of it, at most"),
      key_or<Duration>("e2el", "none", "time until its last token, at most")};
  return keys;
}

const std::vector<KeySpec>& load_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("from", "least load: sessions at a time, or requests a second")
          .within(0, kLoadMax)
          .must(),
      key<double>("to", "largest load").within(0, kLoadMax).must(),
      key_or<double>("asked", "none", "load to carry; none: the cheapest task is looked for")
          .within(0, kLoadMax),
      key<double>("tolerance", "of the answer").within(0, 0.5)};
  return keys;
}

const std::vector<KeySpec>& sample_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("requests", "open loop: of one run").within(10, 10'000'000),
      key<double>("rounds", "closed loop: sessions of one run, times the load").within(1, 1000),
      key<std::int64_t>("sessions", "closed loop: at least").within(1, kSessionsMax),
      key<Duration>("ramp", "closed loop: the first sessions begin over it"),
      key_or<Duration>("think_at_most", "none", "closed loop: longer pauses are cut to it"),
      key<bool>("barrier", "closed loop: a batch that ends when its last session does")};
  return keys;
}

const std::vector<KeySpec>& search_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("exact_up_to", "so many deployments are all searched at full length")
          .within(1, 1'000'000),
      key<double>("first_size", "share of the sample in the first round of more than that")
          .within(0.01, 1)};
  return keys;
}

const std::vector<KeySpec>& plan_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out = sweep_key_list();
    out.push_back(section_key("goodput", goodput_keys, "what a good request keeps"));
    out.push_back(section_key("load", load_keys, "range of loads to search").must());
    out.push_back(section_key("sample", sample_keys, "how much traffic one run plays"));
    out.push_back(section_key("search", search_keys, "which deployments are searched how"));
    out.push_back(key_or<std::string>("prices", "none", "price table, by name or path"));
    out.push_back(any_key("levers", "{key.path: value} to try on the answer").listed());
    return out;
  }();
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("plan", {"deployments to choose from, an SLO, a load", plan_keys});

// Those of its keys that a sweep file has.
const std::vector<std::string>& sweep_keys() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const KeySpec& spec : sweep_key_list()) out.push_back(spec.name);
    return out;
  }();
  return names;
}

YamlNode without(const YamlNode& root, const std::vector<std::string>& kept) {
  YamlNode out = root;
  std::erase_if(out.children, [&](const YamlNode& child) {
    return std::ranges::find(kept, child.key) == kept.end();
  });
  return out;
}

// Three seeds unless the file says others.
void default_seeds(YamlNode& root) {
  if (root.find("seeds") != nullptr) return;
  YamlNode seeds = YamlNode::made(Kind::list, root.place);
  seeds.key = "seeds";
  seeds.key_place = root.place;
  for (const char* text : {"1", "2", "3"}) {
    YamlNode seed = YamlNode::made(Kind::scalar, root.place);
    seed.text = text;
    seeds.children.push_back(std::move(seed));
  }
  root.children.push_back(std::move(seeds));
}

void take_seeds(PlanFile& plan) {
  Axis seeds = std::move(plan.sweep.axes.back());
  plan.sweep.axes.pop_back();
  for (const auto& row : seeds.rows) {
    std::string hint;
    const auto seed = parse_value<std::uint64_t>(row.front().text, hint);
    if (!seed) {
      throw InputError(row.front().place,
                       "seeds: expected whole numbers from 0, got " + shown(row.front()) + hint);
    }
    plan.seeds.push_back(*seed);
  }
}

void check_axes(const SweepFile& sweep) {
  std::vector<Diagnostic> errors;
  for (const Axis& axis : sweep.axes) {
    for (const std::string& path : axis.paths) {
      const std::string top = path.substr(0, path.find('.'));
      if (top != "workload" && top != "slo" && top != "expect") continue;
      errors.push_back({axis.rows.front().front().place,
                        "axes: expected keys of the deployment, whose traffic is the same for all, "
                        "got '" +
                            path + "'"});
    }
  }
  if (!errors.empty()) throw InputError(std::move(errors));
}

GoodRequest read_good(Section section) {
  GoodRequest good;
  const auto limit = above_up_to(Duration{0}, Duration{INT64_MAX});
  good.ttft = section.optional_or<Duration>("ttft", "none", limit);
  good.tpot = section.optional_or<Duration>("tpot", "none", limit);
  good.e2el = section.optional_or<Duration>("e2el", "none", limit);
  section.reject_unknown();
  return good;
}

SampleRule read_sample(Section section, LoadUnit unit) {
  SampleRule rule;
  if (unit == LoadUnit::requests_per_s) {
    rule.requests = section.optional<std::int64_t>("requests", rule.requests,
                                                   between<std::int64_t>(10, 10'000'000));
    for (const char* key : {"rounds", "sessions", "ramp", "think_at_most", "barrier"}) {
      if (section.node(key) != nullptr) section.error(key, "only a closed loop uses this key");
    }
  } else {
    rule.rounds = section.optional<double>("rounds", rule.rounds, between(1.0, 1000.0));
    rule.sessions = section.optional<std::int64_t>("sessions", rule.sessions,
                                                   between<std::int64_t>(1, kSessionsMax));
    rule.ramp = section.optional<Duration>("ramp", Duration{0});
    rule.think_at_most = section.optional_or<Duration>("think_at_most", "none");
    rule.barrier = section.optional<bool>("barrier", false);
    if (section.node("requests") != nullptr) {
      section.error("requests", "only an open loop uses this key");
    }
  }
  section.reject_unknown();
  return rule;
}

void read_load(Section section, PlanFile& plan) {
  const auto limits = above_up_to(0.0, kLoadMax);
  LoadRange& range = plan.load;
  range.whole = plan.unit == LoadUnit::sessions;
  range.from = section.required<double>("from", limits);
  range.to = section.required<double>("to", limits);
  plan.asked = section.optional_or<double>("asked", "none", limits);
  range.tolerance = section.optional<double>("tolerance", range.tolerance,
                                             between(range.whole ? 0.0 : 0.001, 0.5));
  section.reject_unknown();
  if (range.to < range.from) section.error("to", "expected at least load.from");
  if (!range.whole) return;
  for (const char* key : {"from", "to", "asked"}) {
    const YamlNode* node = section.node(key);
    if (node == nullptr || node->kind != Kind::scalar) continue;
    std::string hint;
    const auto value = parse_value<double>(node->text, hint);
    if (value && *value != std::floor(*value)) {
      section.error(key, "expected a whole number of sessions, got " + shown(*node));
    }
  }
}

std::optional<std::vector<Lever>> read_levers(Section& top) {
  const YamlNode* node = top.node("levers");
  if (node == nullptr) return std::nullopt;
  std::vector<Lever> levers;
  if (node->kind != Kind::list) {
    top.error("levers", "expected a list of {key.path: value}, got " + shown(*node));
    return levers;
  }
  for (const YamlNode& item : node->children) {
    Lever lever{"", {}, item.place};
    bool good = item.kind == Kind::map && !item.children.empty();
    for (const YamlNode& entry : item.children) {
      good = good && (entry.kind == Kind::scalar || entry.kind == Kind::null);
      const std::string value = text_of(entry);
      lever.name += (lever.name.empty() ? "" : ", ") + entry.key + ": " + value;
      lever.set.emplace_back(entry.key, value);
    }
    if (!good) {
      top.add_errors(
          InputError(item.place, "levers: expected {key.path: value}, got " + shown(item)));
      continue;
    }
    levers.push_back(std::move(lever));
  }
  return levers;
}

// The base's own SLO, in the words of thresholds.
std::vector<Condition> thresholds_of(const Scenario& base) {
  std::vector<Condition> out;
  const auto add = [&](const char* path, const char* figure, Duration limit) {
    if (limit <= Duration{}) return;
    const auto place = base.places.find(path);
    out.emplace_back(std::string(figure) + " <= " + value_text<double>(to_ms(limit)),
                     place == base.places.end() ? Place{base.file} : place->second);
  };
  add("slo.ttft_p99", "ttft_ms.p99", base.slo.ttft_p99);
  add("slo.tpot_p99", "tpot_ms.p99", base.slo.tpot_p99);
  return out;
}

bool asks_for(const std::vector<Condition>& thresholds, const std::string& figure) {
  return std::ranges::any_of(thresholds, [&](const Condition& c) {
    return std::ranges::find(c.left_names(), figure) != c.left_names().end();
  });
}

// What every deployment shares, as the base has it.
Scenario base_scenario(const SweepFile& sweep, const std::string& trace_dir) {
  ScenarioOptions options;
  options.trace_dir = trace_dir;
  Scenario base = scenario_of_tree(base_tree(sweep.base_text, sweep.base_file, sweep.set),
                                   sweep.base_file, options);
  check_names(base);
  return base;
}

void settle_thresholds(const std::string& path, const Scenario& base, PlanFile& plan) {
  std::vector<Condition>& thresholds = plan.rules.thresholds;
  thresholds = plan.sweep.thresholds;
  if (thresholds.empty()) thresholds = thresholds_of(base);
  if (thresholds.empty()) {
    throw InputError(Place{path},
                     "thresholds: expected an SLO such as '- ttft_ms.p99 <= 5000', here or as slo "
                     "of the base; without one every load is kept");
  }
  if (asks_for(thresholds, kGoodputFigure) && !plan.rules.good.asked()) {
    throw InputError(thresholds.front().place(),
                     "thresholds: goodput needs 'goodput: {ttft: 5 s, tpot: 50 ms}', which says "
                     "what a good request is");
  }
}

}  // namespace

PlanFile read_plan_file(const std::string& path, const std::vector<std::string>& set,
                        std::optional<std::uint64_t> seed, const std::string& trace_dir) {
  const YamlNode root = parse_yaml(read_text_file(path), path);
  Document document(root, path);
  Section top = document.root(plan_keys);
  for (const std::string& name : sweep_keys()) top.node(name);

  PlanFile plan;
  YamlNode sweep = without(root, sweep_keys());
  if (root.kind == Kind::map) default_seeds(sweep);
  std::optional<Scenario> base;
  try {
    plan.sweep = sweep_of_tree(std::move(sweep), path, set, seed, {kGoodputFigure});
    take_seeds(plan);
    check_axes(plan.sweep);
    base = base_scenario(plan.sweep, trace_dir);
    plan.unit = load_unit(*base);
  } catch (const InputError& error) {
    document.add_errors(error);
  }
  plan.rules.good = read_good(top.child("goodput"));
  // Which keys belong to the load depends on the base.
  if (base) {
    read_load(top.child("load", true), plan);
    plan.rules.sample = read_sample(top.child("sample"), plan.unit);
  } else {
    top.node("load");
    top.node("sample");
  }
  Section search = top.child("search");
  plan.search.exact_up_to = search.optional<std::int64_t>("exact_up_to", plan.search.exact_up_to,
                                                          between<std::int64_t>(1, 1'000'000));
  plan.search.first_size =
      search.optional<double>("first_size", plan.search.first_size, between(0.01, 1.0));
  search.reject_unknown();
  plan.levers = read_levers(top);
  if (const auto name = top.optional_or<std::string>("prices", "none")) {
    plan.prices_place = top.node("prices")->place;
    try {
      plan.prices =
          load_prices(*name, std::filesystem::path(path).parent_path().string(), plan.prices_place);
    } catch (const InputError& error) {
      document.add_errors(error);
    }
  }
  top.reject_unknown();
  document.checkpoint();
  settle_thresholds(path, *base, plan);
  return plan;
}

Scenario scenario_of_point(const SweepPlan& plan, const PlannedPoint& point,
                           const std::string& trace_dir, const Lever* lever) {
  YamlNode root = base_tree(plan.base_text, plan.base_file, plan.set);
  for (std::size_t a = 0; a < plan.axes.size(); ++a) {
    const Axis& axis = plan.axes[a];
    for (std::size_t j = 0; j < axis.paths.size(); ++j) {
      set_path(root, axis.paths[j], axis.rows[point.rows[a]][j], named_keys());
    }
  }
  if (lever != nullptr) {
    for (const auto& [key, value] : lever->set) {
      set_path(root, key, value, lever->place, named_keys());
    }
  }
  ScenarioOptions options;
  options.trace_dir = trace_dir;
  Scenario scenario = scenario_of_tree(std::move(root), plan.base_file, options);
  check_names(scenario);
  return scenario;
}

}  // namespace v4cap
