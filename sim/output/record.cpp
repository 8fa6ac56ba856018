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

TierTotals& TierTotals::operator+=(const TierTotals& o) {
  capacity += o.capacity;
  hit_tokens += o.hit_tokens;
  hit_points += o.hit_points;
  written += o.written;
  read += o.read;
  evicted += o.evicted;
  expired += o.expired;
  lost += o.lost;
  refused += o.refused;
  resident += o.resident;
  peak += o.peak;
  read_moved_bytes += o.read_moved_bytes;
  read_offered_bytes += o.read_offered_bytes;
  write_moved_bytes += o.write_moved_bytes;
  write_offered_bytes += o.write_offered_bytes;
  read_utilisation = read_offered_bytes > 0 ? read_moved_bytes / read_offered_bytes : 0;
  write_utilisation = write_offered_bytes > 0 ? write_moved_bytes / write_offered_bytes : 0;
  return *this;
}

StepTotals& StepTotals::operator+=(const StepTotals& o) {
  steps += o.steps;
  sequences += o.sequences;
  kv_peak += o.kv_peak;
  evicted += o.evicted;
  written += o.written;
  hit_bytes += o.hit_bytes;
  rebuilt_bytes += o.rebuilt_bytes;
  kv_capacity += o.kv_capacity;
  kv_caches += o.kv_caches;
  busy += o.busy;
  share += o.share;
  clamped_steps += o.clamped_steps;
  add(binding, o.binding);
  decode_steps += o.decode_steps;
  decoded += o.decoded;
  if (tiers.empty()) {
    tiers = o.tiers;
  } else {
    for (std::size_t i = 0; i < o.tiers.size(); ++i) tiers[i] += o.tiers[i];
  }
  loaded += o.loaded;
  load_wait += o.load_wait;
  return *this;
}

}  // namespace v4cap
