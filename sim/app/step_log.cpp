#include "sim/app/step_log.h"

#include <algorithm>
#include <optional>

#include "sim/config/yaml_tree.h"
#include "sim/core/hash.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

constexpr double kTokensMax = 1e9, kSumMax = 1e15, kMsMax = 1e9;
constexpr std::size_t kStepsMin = 20;
const std::vector<std::string> kKeys = {"ms",
                                        "prefill",
                                        "prefill_tokens",
                                        "prefill_past",
                                        "decode_contexts",
                                        "decode_tokens",
                                        "decode_context",
                                        "ranks",
                                        "graph"};

void refuse_unknown(JsonValue step) {
  for (const JsonValue member : step.members()) {
    const std::string key(member.key());
    if (std::ranges::find(kKeys, key) == kKeys.end()) {
      member.fail("unknown key " + shown(key) + suggestion(key, kKeys));
    }
  }
}

void refuse_both(JsonValue step, const char* list, const char* sum) {
  if (!step.find(list)) return;
  if (const JsonValue other = step.find(sum)) {
    other.fail(std::string(sum) + ": expected either this or " + list + ", got both");
  }
}

double number_or_0(JsonValue step, const char* key, double max) {
  const JsonValue value = step.find(key);
  return value ? value.number(0, max) : 0;
}

StepRecord read_step(JsonValue v) {
  refuse_unknown(v);
  refuse_both(v, "prefill", "prefill_tokens");
  refuse_both(v, "prefill", "prefill_past");
  refuse_both(v, "decode_contexts", "decode_tokens");
  refuse_both(v, "decode_contexts", "decode_context");
  StepRecord step;
  constexpr double kUsPerMs = 1000;
  step.us = kUsPerMs * v.at("ms").number(0, kMsMax);
  if (step.us <= 0) v.at("ms").fail("ms: expected a time above 0");
  if (const JsonValue chunks = v.find("prefill")) {
    for (const JsonValue chunk : chunks.array()) {
      if (chunk.size() != 2) chunk.fail("prefill: expected [tokens, past] for each chunk");
      std::vector<double> pair;
      for (const JsonValue x : chunk.array()) pair.push_back(x.number(0, kTokensMax));
      step.prefills.push_back({pair[0], pair[1]});
    }
  } else if (const double tokens = number_or_0(v, "prefill_tokens", kTokensMax); tokens > 0) {
    step.prefills.push_back({tokens, number_or_0(v, "prefill_past", kTokensMax)});
  }
  if (const JsonValue contexts = v.find("decode_contexts")) {
    for (const JsonValue x : contexts.array()) step.decode_context += x.number(0, kTokensMax);
    step.decode_tokens = static_cast<double>(contexts.size());
  } else {
    step.decode_tokens = number_or_0(v, "decode_tokens", kTokensMax);
    step.decode_context = number_or_0(v, "decode_context", kSumMax);
  }
  double tokens = step.decode_tokens;
  for (const StepRecord::Prefill& one : step.prefills) tokens += one.tokens;
  if (tokens <= 0) v.fail("expected a step with at least one token");
  return step;
}

}  // namespace

std::vector<StepRecord> read_step_log(const std::string& path) {
  TextFile file(path);
  JsonLine line;
  std::vector<StepRecord> steps;
  while (file.next()) {
    steps.push_back(
        read_step(parse_json_object(line, file.line(), file.place(), !file.line_is_terminated())));
    ContentHash hash;
    hash.add(file.line());
    steps.back().line_hash = hash.value();
  }
  if (steps.size() < kStepsMin) {
    throw InputError(Place{path}, "expected at least " + std::to_string(kStepsMin) +
                                      " steps, got " + std::to_string(steps.size()));
  }
  return steps;
}

}  // namespace v4cap
