// A run of five requests, small enough to work every figure out by hand. Milliseconds of simulated
// time:
//
//   id  arrival  admitted  first   second  finished  prompt  hit   computed  rebuilt  output
//   0   0        0         100     110     190       1000    0     1000      0        10
//   1   200      250       300.5   320.5   400.5     2000    1024  976       128      6
//   2   100      100       250     -       250       500     0     500       0        1
//   3   150      150       -       -       300       300     256   44        0        0 aborted 4
//   350      -         -       -       -         2000000 -     -         -        8       refused
//
//   TTFT  0: 100      1: 100.5  2: 150              p50 100.5, mean 350.5 / 3
//   TPOT  0: 90/9=10  1: 100/5=20                   p50 15
//   E2EL  0: 190      1: 200.5  2: 150   3: 150     mean 172.625
//   duration 0 .. 400.5 ms; prompt 3800 = hit 1280 + computed 2520; output 17
#pragma once

#include "sim/output/run_summary.h"

namespace v4cap {

inline SimTime at_ms(double ms) {
  return kSimStart + Duration{static_cast<std::int64_t>(ms * 1e6)};
}

inline std::vector<RequestRecord> sample_records() {
  return {
      {.id = 0,
       .session = 0,
       .turn = 0,
       .arrival = at_ms(0),
       .admitted = at_ms(0),
       .first_token = at_ms(100),
       .second_token = at_ms(110),
       .finished = at_ms(190),
       .prompt = {1000},
       .output = {10},
       .hit = {0},
       .computed = {1000}},
      {.id = 1,
       .session = 0,
       .turn = 1,
       .arrival = at_ms(200),
       .admitted = at_ms(250),
       .first_token = at_ms(300.5),
       .second_token = at_ms(320.5),
       .finished = at_ms(400.5),
       .prompt = {2000},
       .output = {6},
       .hit = {1024},
       .computed = {976},
       .rebuilt = {128},
       .recomputed_after_preemption = {64},
       .preemptions = 1},
      {.id = 2,
       .arrival = at_ms(100),
       .admitted = at_ms(100),
       .first_token = at_ms(250),
       .finished = at_ms(250),
       .prompt = {500},
       .output = {1},
       .computed = {500}},
      {.id = 3,
       .arrival = at_ms(150),
       .admitted = at_ms(150),
       .finished = at_ms(300),
       .prompt = {300},
       .output = {0},
       .hit = {256},
       .computed = {44}},
      {.id = 4,
       .end = RequestEnd::refused,
       .arrival = at_ms(350),
       .prompt = {2'000'000},
       .output = {8}},
  };
}

inline RunTotals sample_totals() {
  RunTotals t;
  t.requests = 5;
  t.finished = 4;
  t.refused = 1;
  t.preemptions = 1;
  t.steps = 1234;
  t.events = 2468;
  t.prompt_tokens = {3800};
  t.hit_tokens = {1280};
  t.computed_tokens = {2520};
  t.rebuilt_tokens = {128};
  t.recomputed_after_preemption = {64};
  t.output_tokens = {17};
  t.kv_peak[CacheKind::csa] = 3 * kGiB / 2;
  t.kv_peak[CacheKind::swa] = kGiB / 4;
  t.evicted[CacheKind::swa] = kGiB / 8;
  t.written[CacheKind::csa] = 3 * kGiB / 2;
  t.hit_bytes[CacheKind::csa] = 1280 * 4380;
  t.rebuilt_bytes[CacheKind::swa] = 128 * 35'624;
  t.ideal_hit_rate = 0.375;
  t.kv_capacity = {16 * kGiB};
  t.first_arrival = at_ms(0);
  t.last_arrival = at_ms(350);
  t.last_finish = at_ms(400.5);
  t.busy = Duration{300'000'000};
  t.share.roofline_s = 0.3;
  t.binding.memory_pools = {{"swa", Duration{250'000'000}}, {"csa", Duration{0}}};
  t.binding.nothing_waits_decode = Duration{50'000'000};
  t.binding.idle = Duration{100'500'000};
  t.mean_in_system = 1.5;
  t.waiting_mean = 0.25;
  t.running_mean = 1.25;
  t.decoding_mean = 0.75;
  t.mean_batch = 1.25;
  t.decode_steps = 4;
  t.decoded = Tokens{10};
  t.result_hash = 0x0123456789abcdefULL;
  t.wall_s = 0.75;
  return t;
}

inline RunResult sample_run() {
  RunResult run;
  run.records = sample_records();
  run.totals = sample_totals();
  run.gpus = 2;
  OccupancySample sample{.at = at_ms(100.000001), .running = 2, .waiting = 1};
  sample.in_use[CacheKind::csa] = 1000;
  sample.cached[CacheKind::swa] = 234;
  run.occupancy = {OccupancySample{}, sample};
  return run;
}

inline RunIdentity sample_identity(const std::string& policy = "full") {
  return {.scenario = "sample",
          .model = "deepseek-v4-pro",
          .hardware = "hgx-b200",
          .policy = policy,
          .layout = "ideal",
          .scheduler = "fcfs",
          .times = "roofline",
          .seed = 7};
}

inline RunSummary sample_summary(const std::string& policy = "full") {
  return summarise(sample_run(), sample_identity(policy));
}

}  // namespace v4cap
