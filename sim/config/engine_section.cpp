#include "sim/config/engine_section.h"

#include <cmath>

#include "sim/config/host_section.h"
#include "sim/config/scenario_parts.h"
#include "sim/config/scheduler_section.h"
#include "sim/engine/acceptance.h"
#include "sim/engine/scheduler.h"

namespace v4cap {

namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;

// How tokens choose experts in the tables that profiles were fitted from.
const std::vector<std::string> kDistributions = {"balanced", "power_law_1.01", "power_law_1.2"};

// What becomes of draft tokens: the chances themselves, or their mean, for which the model may have
// published figures.
void read_drafts(Section& section, const ModelSpec& model, EngineConfig& e) {
  const auto drafts = static_cast<std::size_t>(e.draft_tokens);
  if (drafts == 0) {
    for (const std::string_view key : {"draft_steps", "acceptance_length", "acceptance"}) {
      if (section.has(key)) section.error(key, "only draft_tokens above 0 use this key");
      section.node(key);
    }
    return;
  }
  e.draft_steps =
      section.optional<std::int64_t>("draft_steps", e.draft_tokens, between<std::int64_t>(0, 64));
  const double most = static_cast<double>(drafts) + 1;
  const bool mean_given = section.has("acceptance_length");
  e.acceptance.clear();
  if (section.has("acceptance")) {
    if (mean_given) section.error("acceptance_length", "expected either this or acceptance");
    section.node("acceptance_length");
    e.acceptance = section.required_list<double>("acceptance", between(0.0, 1.0));
    double sum = 0;
    for (const double chance : e.acceptance) sum += chance;
    if (e.acceptance.size() == drafts + 1 && std::abs(sum - 1) < 1e-6) return;
    section.error("acceptance", "expected the chances of 1 to " + std::to_string(drafts + 1) +
                                    " tokens a step, which sum to 1, got " +
                                    std::to_string(e.acceptance.size()) + " that sum to " +
                                    value_text(sum));
    e.acceptance.clear();
    return;
  }
  const auto& published = model.acceptance_lengths;
  const bool known = drafts <= published.size();
  if (!mean_given && !known) {
    section.node("acceptance_length");
    section.node("acceptance");
    return;
  }
  const double mean = section.optional<double>(
      "acceptance_length", known ? published[drafts - 1] : 1, between(1.0, most));
  section.node("acceptance");
  e.acceptance = acceptance_of_mean(e.draft_tokens, std::clamp(mean, 1.0, most));
}

const std::vector<KeySpec>& imbalance_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("factor", "load of the busiest GPU over the mean").within(1, {}).must(),
      key<double>("share", "of steps in which it is that").within(0, 1).must()};
  return keys;
}

// One bin of a histogram: a document of its own, because a list has no sections.
ImbalanceBin read_imbalance_bin(const YamlNode& node, const std::string& path, double most) {
  Document document(node, node.place.file);
  Section section = document.root(imbalance_keys, path);
  ImbalanceBin bin;
  bin.factor = section.required<double>("factor", between(1.0, most));
  bin.share = section.required<double>("share", above_up_to(0.0, 1.0));
  section.reject_unknown();
  document.checkpoint();
  return bin;
}

// A factor, or a list of {factor, share} whose shares sum to 1. One GPU of `spread` cannot have
// more than all (token, expert) pairs, which is `spread` times the mean.
ExpertImbalance read_imbalance(Section& section, std::int64_t spread) {
  constexpr std::string_view kKey = "expert_imbalance";
  const auto most = static_cast<double>(spread);
  const YamlNode* list = section.has(kKey) ? section.node(kKey) : nullptr;
  if (list == nullptr || list->kind != YamlNode::Kind::list) {
    return {{section.optional<double>(kKey, 1, between(1.0, most)), 1}};
  }
  ExpertImbalance out;
  std::string text;
  double sum = 0;
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    try {
      const ImbalanceBin bin =
          read_imbalance_bin(list->children[i], section.path_of(kKey, i), most);
      text += (text.empty() ? "{factor: " : ", {factor: ") + value_text(bin.factor) +
              ", share: " + value_text(bin.share) + '}';
      sum += bin.share;
      out.push_back(bin);
    } catch (const InputError& error) {
      section.add_errors(error);
    }
  }
  section.record(kKey, '[' + text + ']');
  if (out.size() != list->children.size()) return {{}};  // said already
  if (out.empty() || out.size() > kMaxImbalanceBins || std::abs(sum - 1) > 1e-6) {
    section.error(kKey, "expected a number or 1 to " + std::to_string(kMaxImbalanceBins) +
                            " bins {factor, share} whose shares sum to 1, got " +
                            std::to_string(out.size()) + " that sum to " + value_text(sum));
    return {{}};
  }
  return out;
}

// Flags and numbers of the scheduler's rules. Those that its rules do not know are refused; of a
// scheduler that is not known nothing more is said.
void read_scheduler_keys(Section& section, const SchedulerStated& defaults, EngineConfig& e) {
  const SchedulerTraits traits = scheduler_traits(e.scheduler);
  const bool known = SchedulerRegistry::find(e.scheduler) != nullptr;
  const std::string lacks = ", scheduler " + e.scheduler + " has no such rule";
  e.mixed_chunk = section.optional<bool>("mixed_chunk", defaults.mixed_chunk.value_or(false));
  if (known && e.mixed_chunk && !traits.mixes_chunks) {
    section.error("mixed_chunk", "expected false" + lacks);
  }
  e.prefill_delayer =
      section.optional<bool>("prefill_delayer", defaults.prefill_delayer.value_or(false));
  if (known && e.prefill_delayer && !traits.delays_prefill) {
    section.error("prefill_delayer", "expected false" + lacks);
  }
  e.long_prefill_token_threshold = section.optional<Tokens>(
      "long_prefill_token_threshold", defaults.long_prefill_token_threshold.value_or(Tokens{0}),
      between(Tokens{0}, Tokens{kCountMax}));
  if (known && e.long_prefill_token_threshold > Tokens{0} && !traits.caps_long_prompts) {
    section.error("long_prefill_token_threshold", "expected 0" + lacks);
  }
  if (!traits.parameters.empty()) {
    e.scheduler_options =
        read_scheduler_options(section.child("scheduler_options"), traits, defaults.options);
  } else if (section.node("scheduler_options") != nullptr && known) {
    section.error("scheduler_options",
                  "expected none, scheduler " + e.scheduler + " has no parameters");
  }
}

}  // namespace

const std::vector<KeySpec>& engine_section_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("scheduler", "who decides what a step runs; default: the layout's engine's")
          .such_as(&SchedulerRegistry::names),
      key<std::int64_t>("max_running", "most running requests of one attention rank")
          .within(1, 1'000'000),
      key<Tokens>("step_tokens", "token budget of a step").within(1, kCountMax),
      key<Tokens>("max_context_tokens", "longer requests are refused; default: the model's")
          .within(1, {}),
      key<std::int64_t>("draft_tokens", "speculative tokens that a step verifies").within(0, 64),
      key<std::int64_t>("draft_steps", "passes of the draft layer in a step; default: draft_tokens")
          .within(0, 64),
      key<double>("acceptance_length", "mean tokens of a decode step with drafts").within(1, {}),
      list_key<double>("acceptance", "chances that a decode step yields 1, 2, ... tokens")
          .within(0, 1),
      key<double>("expert_imbalance",
                  "load of the busiest GPU's experts over the mean, or a list "
                  "of {factor, share}")
          .within(1, {})
          .or_else(items_key("", imbalance_keys, "a histogram over steps")),
      key<std::int64_t>("steps_in_flight", "2: the next step is prepared while one runs")
          .within(1, 16),
      key<bool>("mixed_chunk", "sglang: decodes run beside prefill instead of waiting for it"),
      key<bool>("prefill_delayer", "sglang: prefill waits until enough attention ranks have some"),
      key<Tokens>("long_prefill_token_threshold",
                  "vllm: most prompt tokens of one request in a step; 0: no bound")
          .within(0, kCountMax),
      section_key("scheduler_options", scheduler_option_keys, "numbers of the scheduler's rules"),
      choice_key(
          "expert_distribution", [] { return kDistributions; },
          "how tokens choose experts in the tables of measurements"),
      section_key("host", host_keys, "what the host beside the GPU costs")};
  return keys;
}

EngineConfig read_engine(Section section, const Scenario& s,
                         const std::optional<EngineData>& engine, const SchedulerStated& scheduler,
                         const HostStated& host) {
  const ModelSpec& model = s.model;
  EngineConfig e;
  if (engine) {
    const EngineSettings settings =
        settle_engine(*engine, Bytes{bound(s.hardware.gpu.memory.value)}, s.deployment.widths(),
                      model.max_context);
    e.step_tokens = settings.step_tokens;
    e.max_running = settings.max_running;
  }
  if (engine && engine->scheduler) e.scheduler = engine->name;
  e.scheduler = read_name(section, "scheduler", e.scheduler);
  e.max_running = section.optional<std::int64_t>("max_running", e.max_running,
                                                 between<std::int64_t>(1, 1'000'000));
  e.step_tokens =
      section.optional<Tokens>("step_tokens", e.step_tokens, between(Tokens{1}, Tokens{kCountMax}));
  e.max_context =
      section.optional<Tokens>("max_context_tokens", model.max_context,
                               between(Tokens{1}, Tokens{bound(model.max_context.value)}));
  e.draft_tokens = section.optional<std::int64_t>("draft_tokens", 0, between<std::int64_t>(0, 64));
  read_drafts(section, model, e);
  e.expert_imbalance = read_imbalance(section, s.deployment.expert_parallel);
  e.steps_in_flight =
      section.optional<std::int64_t>("steps_in_flight", 1, between<std::int64_t>(1, 16));
  read_scheduler_keys(section, scheduler, e);
  e.expert_distribution = kDistributions[section.choice("expert_distribution", kDistributions, 1)];
  e.host = read_host(section.child("host"), host, s.hardware.efficiency.fixed_per_step);
  section.reject_unknown();
  return e;
}

}  // namespace v4cap
