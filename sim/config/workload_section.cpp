#include "sim/config/workload_section.h"

#include "sim/config/trace_files.h"
#include "traces/reader.h"

namespace v4cap {

namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;
constexpr double kRateMax = 1e9;
constexpr double kTokensMax = 1e9;

const std::vector<std::string> kLengthKinds = {"constant", "uniform", "lognormal", "exponential",
                                               "table"};
const std::vector<std::string> kArrivalKinds = {"poisson", "gamma", "table"};
const std::vector<std::pair<std::string, ArrivalMode>> kArrivalModes = {
    {"trace", ArrivalMode::trace},
    {"closed_loop", ArrivalMode::closed_loop},
    {"poisson", ArrivalMode::poisson},
    {"burst", ArrivalMode::burst},
    {"client", ArrivalMode::client}};

const std::vector<KeySpec>& length_keys() {
  static const std::vector<KeySpec> keys = {
      choice_key(
          "kind", [] { return kLengthKinds; }, "shape of the distribution"),
      key<std::string>("table", "table: file of lengths and how often each occurs"),
      key<double>("mean", "tokens; constant, lognormal, exponential").within(0, kTokensMax),
      key<double>("sigma", "lognormal: of the logarithm").within(0, 10),
      key<double>("min", "fewest tokens").within(0, kTokensMax),
      key<double>("max", "most tokens").within(0, kTokensMax)};
  return keys;
}

const std::vector<KeySpec>& synthetic_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("sessions", "how many").within(1, kCountMax).must(),
      key<std::int64_t>("turns_min", "fewest requests of a session").within(1, kCountMax),
      key<std::int64_t>("turns_max", "most requests of a session").within(1, kCountMax),
      key<Tokens>("shared_prefix_tokens", "tokens that sessions of a group begin with")
          .within(0, kCountMax),
      key<std::int64_t>("prefix_groups", "different such beginnings").within(1, kCountMax),
      section_key("first_prompt", length_keys, "tokens of a session's first prompt").must(),
      section_key("next_prompt", length_keys, "tokens that each further turn adds"),
      section_key("output", length_keys, "tokens of an answer").must(),
      key<Duration>("think_time_mean", "between an answer and the next turn"),
      choice_key(
          "arrivals", [] { return kArrivalKinds; }, "how sessions come"),
      key<std::string>("rate_table", "arrivals table: file of rates over time"),
      key<double>("rate_factor", "arrivals table: its rates are multiplied by it")
          .within(0, kRateMax),
      key<double>("rate_per_s", "sessions a second, poisson and gamma").within(0, kRateMax),
      key<double>("burstiness", "gamma: shape; 1 is poisson, below it comes in bursts")
          .within(0, kRateMax),
      key<Tokens>("block_tokens", "tokens of a block of the trace").within(1, 65536)};
  return keys;
}

std::vector<KeySpec> bench_run_keys() {
  return {key<std::int64_t>("prompts", "requests").within(1, kCountMax).must(),
          key<std::int64_t>("concurrency", "most requests in flight").within(1, kCountMax).must()};
}

const std::vector<KeySpec>& earlier_keys() {
  static const std::vector<KeySpec> keys = bench_run_keys();
  return keys;
}

const std::vector<KeySpec>& bench_serving_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out = bench_run_keys();
    const auto add = [&](KeySpec spec) { out.push_back(std::move(spec)); };
    add(key<Tokens>("input_tokens", "longest prompt").within(1, {}).must());
    add(key<Tokens>("output_tokens", "longest answer").within(1, {}).must());
    add(key<double>("range_ratio", "shortest over longest of each; 0: from 1 token on")
            .within(0, 1));
    add(key<std::int64_t>("seed", "of the client's lengths").within(0, 0xffffffff));
    add(key<std::int64_t>("warmup_requests", "sent and awaited first").within(0, 1'000'000));
    add(choice_key(
        "burst_order",
        [] {
          return Names{"sent", "shuffled"};
        },
        "in which what is sent at once reaches the server; shuffled: drawn anew for each run"));
    add(items_key("earlier", earlier_keys, "runs before this one against the same server"));
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& arrival_keys() {
  static const std::vector<KeySpec> keys = {
      choice_key(
          "mode",
          [] {
            Names names;
            for (const auto& [name, mode] : kArrivalModes) names.push_back(name);
            return names;
          },
          "trace: at its own times; burst: all at once"),
      key<std::int64_t>("sessions_at_a_time", "mode closed_loop").within(1, kCountMax),
      key<double>("rate_per_s", "mode poisson: sessions a second").within(0, kRateMax),
      key<std::int64_t>("concurrency", "mode client: most requests in flight").within(1, kCountMax),
      key<std::int64_t>("warmup_requests", "mode client: sent and awaited first")
          .within(0, 1'000'000)};
  return keys;
}

struct Folders {
  std::string scenario, traces;
  bool find_files;
};

// A file named by `key`, found like a trace; "" after an error.
std::string read_path(Section& section, std::string_view key, const Folders& folders) {
  const YamlNode* node = section.node(key);
  if (node == nullptr) {
    section.error(key, "expected a file name, the key is missing");
    return "";
  }
  if (node->kind != YamlNode::Kind::scalar || node->text.empty()) {
    section.error(key, "expected a file name, got " + shown(*node));
    return "";
  }
  if (!folders.find_files) {
    section.record(key, yaml_scalar(node->text));
    return "";
  }
  try {
    const FoundTrace found =
        find_trace(node->text, folders.scenario, folders.traces, node->place, section.path_of(key));
    section.record(key, yaml_scalar(found.given));
    return found.path;
  } catch (const InputError& e) {
    section.add_errors(e);
    return "";
  }
}

// Lengths in tokens: {kind: lognormal, mean: 4000, sigma: 1.2, min: 1, max: 100000}. Each kind
// takes its own keys.
LengthSpec read_lengths(Section section, const Folders& folders) {
  LengthSpec spec;
  const auto length = between(0.0, kTokensMax);
  spec.kind = kLengthKinds[section.choice("kind", kLengthKinds, 0)];
  if (spec.kind == "table") {
    spec.table = read_path(section, "table", folders);
  } else if (spec.kind != "uniform") {
    spec.mean = section.required<double>("mean", length);
  }
  if (spec.kind == "lognormal") spec.sigma = section.required<double>("sigma", between(0.0, 10.0));
  if (spec.kind == "uniform") {
    spec.min = section.required<double>("min", length);
    spec.max = section.required<double>("max", length);
  } else if (spec.kind == "lognormal" || spec.kind == "exponential") {
    spec.min = section.optional<double>("min", 1, length);
    spec.max = section.optional<double>("max", kTokensMax, length);
  }
  section.reject_unknown();
  if (spec.min > spec.max) section.error("min", "expected at most max");
  return spec;
}

SyntheticSpec read_synthetic(Section section, const Folders& folders) {
  const auto count = between<std::int64_t>(1, kCountMax);
  const auto rate = above_up_to(0.0, kRateMax);
  SyntheticSpec spec;
  spec.sessions = section.required<std::int64_t>("sessions", count);
  spec.turns_min = section.optional<std::int64_t>("turns_min", 1, count);
  spec.turns_max = section.optional<std::int64_t>("turns_max", spec.turns_min, count);
  spec.shared_prefix = section.optional<Tokens>("shared_prefix_tokens", Tokens{0},
                                                between(Tokens{0}, Tokens{kCountMax}));
  spec.prefix_groups = section.optional<std::int64_t>("prefix_groups", 1, count);
  spec.first_prompt = read_lengths(section.child("first_prompt", true), folders);
  if (spec.turns_max > 1)
    spec.next_prompt = read_lengths(section.child("next_prompt", true), folders);
  spec.output = read_lengths(section.child("output", true), folders);
  spec.think_mean_s = to_seconds(section.optional<Duration>("think_time_mean", Duration{0}));
  spec.arrivals = kArrivalKinds[section.choice("arrivals", kArrivalKinds, 0)];
  if (spec.arrivals == "table") {
    spec.rate_table = read_path(section, "rate_table", folders);
    spec.rate_per_s = section.optional<double>("rate_factor", 1, rate);
  } else {
    spec.rate_per_s = section.optional<double>("rate_per_s", 1, rate);
  }
  if (spec.arrivals == "gamma") spec.burstiness = section.optional<double>("burstiness", 1, rate);
  spec.block =
      section.optional<Tokens>("block_tokens", Tokens{64}, between(Tokens{1}, Tokens{65536}));
  section.reject_unknown();
  if (spec.turns_max < spec.turns_min) section.error("turns_max", "expected at least turns_min");
  return spec;
}

BenchRun read_bench_run(Section& section) {
  const auto count = between<std::int64_t>(1, kCountMax);
  BenchRun run;
  run.prompts = section.required<std::int64_t>("prompts", count);
  run.concurrency = section.required<std::int64_t>("concurrency", count);
  return run;
}

// [{prompts: 32, concurrency: 1}, ...]: each a document of its own, because a list has no sections.
std::vector<BenchRun> read_earlier_runs(Section& section) {
  std::vector<BenchRun> runs;
  const YamlNode* list = section.node("earlier");
  if (list == nullptr) {
    section.record("earlier", "[]");
    return runs;
  }
  if (list->kind != YamlNode::Kind::list) {
    section.error("earlier", "expected a list of {prompts, concurrency}, got " + shown(*list));
    return runs;
  }
  std::string text;
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    const YamlNode& node = list->children[i];
    try {
      Document document(node, node.place.file);
      Section one = document.root(earlier_keys, section.path_of("earlier", i));
      runs.push_back(read_bench_run(one));
      one.reject_unknown();
      document.checkpoint();
      text += (text.empty() ? "{prompts: " : ", {prompts: ") + std::to_string(runs.back().prompts) +
              ", concurrency: " + std::to_string(runs.back().concurrency) + '}';
    } catch (const InputError& error) {
      section.add_errors(error);
    }
  }
  section.record("earlier", '[' + text + ']');
  return runs;
}

BenchServingSpec read_bench_serving(Section section) {
  const auto length = between(Tokens{1}, Tokens{kTraceTokensMax});
  BenchServingSpec spec;
  spec.run = read_bench_run(section);
  spec.input = section.required<Tokens>("input_tokens", length);
  spec.output = section.required<Tokens>("output_tokens", length);
  spec.range_ratio = section.optional<double>("range_ratio", 0, between(0.0, 1.0));
  spec.seed = static_cast<std::uint32_t>(
      section.optional<std::int64_t>("seed", 1, between<std::int64_t>(0, 0xffffffff)));
  spec.warmup_requests =
      section.optional<std::int64_t>("warmup_requests", 0, between<std::int64_t>(0, 1'000'000));
  spec.burst_shuffled = section.one_of<bool>("burst_order", {{"sent", false}, {"shuffled", true}},
                                             spec.burst_shuffled);
  spec.earlier = read_earlier_runs(section);
  section.reject_unknown();
  return spec;
}

// A key that nothing looks at would be a wrong answer: it is refused.
void reject_unused(Section& section, std::string_view key, bool used, const char* why) {
  if (section.node(key) != nullptr && !used) section.error(key, why);
}

void read_arrivals(Section section, WorkloadConfig& workload) {
  workload.arrivals = section.one_of<ArrivalMode>("mode", kArrivalModes, ArrivalMode::trace);
  if (workload.arrivals == ArrivalMode::closed_loop) {
    workload.sessions_at_a_time =
        section.required<std::int64_t>("sessions_at_a_time", between<std::int64_t>(1, kCountMax));
  } else if (workload.arrivals == ArrivalMode::poisson) {
    workload.rate_per_s = section.required<double>("rate_per_s", above_up_to(0.0, kRateMax));
  } else if (workload.arrivals == ArrivalMode::client) {
    workload.concurrency =
        section.required<std::int64_t>("concurrency", between<std::int64_t>(1, kCountMax));
    workload.warmup_requests =
        section.optional<std::int64_t>("warmup_requests", 0, between<std::int64_t>(0, 1'000'000));
  }
  reject_unused(section, "sessions_at_a_time", workload.arrivals == ArrivalMode::closed_loop,
                "only mode closed_loop uses this key");
  reject_unused(section, "rate_per_s", workload.arrivals == ArrivalMode::poisson,
                "only mode poisson uses this key");
  for (const std::string_view key : {"concurrency", "warmup_requests"}) {
    reject_unused(section, key, workload.arrivals == ArrivalMode::client,
                  "only mode client uses this key");
  }
  section.reject_unknown();
}

}  // namespace

const std::vector<KeySpec>& workload_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("trace", "file beside the scenario, in --traces or among the samples"),
      key_or<std::string>("format", "auto", "reader of the trace; auto: told from its content")
          .such_as(&TraceFormats::names),
      section_key("synthetic", synthetic_keys, "requests that are drawn, in place of a trace"),
      section_key("bench_serving", bench_serving_keys,
                  "requests of a benchmark client, in place of a trace"),
      section_key("arrivals", arrival_keys, "when requests come"),
      key<double>("time_scale", "arrival times of a trace are multiplied by it")
          .within(0, kRateMax),
      key<bool>("spread_instants", "true: requests of one instant are spread up to the next"),
      key_or<std::int64_t>("max_turns", "all", "first turns of each session of a trace")
          .within(1, kCountMax),
      key_or<std::int64_t>("max_requests", "all", "the first so many; sessions are cut")
          .within(1, kCountMax),
      key_or<Tokens>("clip_to_tokens", "none",
                     "prompts of a trace without ids are cut so that prompt and output fit")
          .within(2, kCountMax),
      key_or<std::int64_t>("cycle_to_requests", "none",
                           "requests in all, those of a trace without ids and sessions over and "
                           "over")
          .within(1, kCountMax)};
  return keys;
}

namespace {

// A trace's lengths as they are needed for a run of a given size.
void read_cut_and_cycle(Section& section, bool has_trace, WorkloadConfig& workload) {
  constexpr std::string_view kClip = "clip_to_tokens", kCycle = "cycle_to_requests";
  if (!has_trace) {
    for (const std::string_view key : {kClip, kCycle}) {
      reject_unused(section, key, false, "only a trace has recorded lengths");
    }
    return;
  }
  workload.clip_to =
      section.optional_or<Tokens>(kClip, "none", between(Tokens{2}, Tokens{kCountMax}))
          .value_or(Tokens{0});
  workload.cycle_to =
      section.optional_or<std::int64_t>(kCycle, "none", between<std::int64_t>(1, kCountMax))
          .value_or(0);
  if (workload.cycle_to == 0) return;
  if (workload.arrivals == ArrivalMode::trace) {
    section.error(kCycle,
                  "times of a trace do not go on behind its end: expected arrivals of mode "
                  "poisson, closed_loop or burst beside it");
  } else if (workload.arrivals == ArrivalMode::client) {
    section.error(kCycle,
                  "expected arrivals of mode poisson, closed_loop or burst beside it, got "
                  "client");
  }
}

}  // namespace

WorkloadConfig read_workload(Section section, const std::string& scenario_dir,
                             const std::string& trace_dir, bool find_files) {
  const Folders folders{scenario_dir, trace_dir, find_files};
  WorkloadConfig workload;
  const bool has_trace = section.has("trace"), has_synthetic = section.has("synthetic");
  const bool has_client = section.has("bench_serving");
  if (has_trace && has_synthetic) {
    section.error("synthetic", "expected either trace or synthetic, got both");
  } else if (has_client && (has_trace || has_synthetic)) {
    section.error("bench_serving", "expected either it or a trace, got both");
  } else if (!has_trace && !has_synthetic && !has_client) {
    section.error("trace",
                  "expected a value, the key is missing ('synthetic' or 'bench_serving' may stand "
                  "in its place)");
  }
  if (has_trace) {
    workload.trace = read_path(section, "trace", folders);
    workload.format = section.optional_or<std::string>("format", "auto").value_or("");
    if (!workload.format.empty() && TraceFormats::find(workload.format) == nullptr) {
      section.error("format", "unknown trace format " + shown(workload.format) +
                                  suggestion(workload.format, TraceFormats::names()));
    }
  }
  if (has_synthetic) workload.synthetic = read_synthetic(section.child("synthetic"), folders);
  if (has_client) workload.bench_serving = read_bench_serving(section.child("bench_serving"));
  section.node("trace");
  section.node("synthetic");
  section.node("bench_serving");
  if (has_client) {
    workload.arrivals = ArrivalMode::client;
    reject_unused(section, "arrivals", false, "bench_serving brings its own");
  } else {
    read_arrivals(section.child("arrivals"), workload);
  }
  const bool scales = workload.arrivals == ArrivalMode::trace;
  if (scales) {
    workload.time_scale = section.optional<double>("time_scale", 1, above_up_to(0.0, kRateMax));
    workload.spread_instants = section.optional<bool>("spread_instants", false);
  }
  for (const std::string_view key : {"time_scale", "spread_instants"}) {
    reject_unused(section, key, scales, "only arrivals of mode trace use this key");
  }
  if (has_client) {
    reject_unused(section, "max_requests", false, "bench_serving.prompts says how many");
  } else {
    workload.max_requests =
        section
            .optional_or<std::int64_t>("max_requests", "all", between<std::int64_t>(1, kCountMax))
            .value_or(0);
  }
  if (!has_trace) {
    reject_unused(section, "max_turns", false, "only a trace has recorded turns");
  } else {
    workload.max_turns =
        section.optional_or<std::int64_t>("max_turns", "all", between<std::int64_t>(1, kCountMax))
            .value_or(0);
  }
  read_cut_and_cycle(section, has_trace, workload);
  section.reject_unknown();
  return workload;
}

}  // namespace v4cap
