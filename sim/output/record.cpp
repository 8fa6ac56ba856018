#include "sim/output/record.h"

namespace v4cap {

namespace {

void add(BindingTime& all, const BindingTime& more) {
  if (all.memory_pools.empty()) {
    for (const auto& [name, time] : more.memory_pools)
      all.memory_pools.emplace_back(name, Duration{});
  }
  for (std::size_t i = 0; i < more.memory_pools.size(); ++i) {
    all.memory_pools[i].second += more.memory_pools[i].second;
  }
  all.running_cap += more.running_cap;
  all.step_tokens += more.step_tokens;
  all.nothing_waits_decode += more.nothing_waits_decode;
  all.nothing_waits_prefill += more.nothing_waits_prefill;
  all.idle += more.idle;
}

}  // namespace

StepTotals& StepTotals::operator+=(const StepTotals& o) {
  steps += o.steps;
  sequences += o.sequences;
  kv_peak += o.kv_peak;
  evicted += o.evicted;
  written += o.written;
  hit_bytes += o.hit_bytes;
  rebuilt_bytes += o.rebuilt_bytes;
  kv_capacity += o.kv_capacity;
  busy += o.busy;
  share += o.share;
  clamped_steps += o.clamped_steps;
  add(binding, o.binding);
  decode_steps += o.decode_steps;
  decoded += o.decoded;
  return *this;
}

}  // namespace v4cap
