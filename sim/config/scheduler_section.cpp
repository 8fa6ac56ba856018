#include "sim/config/scheduler_section.h"

#include <cmath>

namespace v4cap {

namespace {

double checked(Section& section, const SchedulerParameter& parameter, double value) {
  if (parameter.whole && value != std::floor(value)) {
    section.error(parameter.name, "expected a whole number, got " + value_text(value) + " (" +
                                      parameter.meaning + ")");
  }
  return value;
}

}  // namespace

const std::vector<KeySpec>& scheduler_option_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const std::string& scheduler : SchedulerTraitsRegistry::names()) {
      for (const SchedulerParameter& p : scheduler_traits(scheduler).parameters) {
        add_parameter(out, p.name, p.meaning, p.min, p.max);
      }
    }
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& scheduler_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out = {
        key<bool>("mixed_chunk", "true: decodes run beside prefill instead of waiting for it"),
        key<bool>("prefill_delayer",
                  "true: prefill waits until enough attention ranks have some to do"),
        key<Tokens>("long_prefill_token_threshold",
                    "most prompt tokens of one request in a step; 0: no bound")};
    out.insert(out.end(), scheduler_option_keys().begin(), scheduler_option_keys().end());
    return out;
  }();
  return keys;
}

SchedulerStated overlaid(const SchedulerStated& base, const SchedulerStated& over) {
  SchedulerStated out = over;
  if (!out.mixed_chunk) out.mixed_chunk = base.mixed_chunk;
  if (!out.prefill_delayer) out.prefill_delayer = base.prefill_delayer;
  if (!out.long_prefill_token_threshold) {
    out.long_prefill_token_threshold = base.long_prefill_token_threshold;
  }
  out.options.insert(base.options.begin(), base.options.end());
  return out;
}

SchedulerStated read_scheduler(Section section, const SchedulerTraits& traits) {
  SchedulerStated stated;
  if (traits.mixes_chunks && section.has("mixed_chunk")) {
    stated.mixed_chunk = section.required<bool>("mixed_chunk");
  }
  if (traits.delays_prefill && section.has("prefill_delayer")) {
    stated.prefill_delayer = section.required<bool>("prefill_delayer");
  }
  if (traits.caps_long_prompts && section.has("long_prefill_token_threshold")) {
    stated.long_prefill_token_threshold = section.required<Tokens>("long_prefill_token_threshold");
  }
  for (const SchedulerParameter& p : traits.parameters) {
    if (!section.has(p.name)) continue;
    stated.options[p.name] =
        checked(section, p, section.required<double>(p.name, between(p.min, p.max)));
  }
  section.reject_unknown();
  return stated;
}

std::map<std::string, double> read_scheduler_options(
    Section section, const SchedulerTraits& traits, const std::map<std::string, double>& defaults) {
  std::map<std::string, double> options;
  for (const SchedulerParameter& p : traits.parameters) {
    const auto limits = between(p.min, p.max);
    const auto known = defaults.find(p.name);
    options[p.name] =
        checked(section, p,
                known == defaults.end() ? section.required<double>(p.name, limits)
                                        : section.optional<double>(p.name, known->second, limits));
  }
  section.reject_unknown();
  return options;
}

}  // namespace v4cap
