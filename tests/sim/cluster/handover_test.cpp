// Prompts read by replicas of their own: when what is sent, who waits for what, and that nothing is
// lost on the way, whatever fails.
#include "sim/cluster/handover.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/config/engine_file.h"
#include "sim/core/parallel.h"
#include "sim/output/cluster_summary.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

constexpr Duration kMs{1'000'000};

SimTime us(std::int64_t n) {
  return SimTime{Duration{1000} * n};
}

struct ToyPools {
  ToyEngine reads, generates;  // a block takes 1,000 bytes, a point 500
  std::size_t read_ranks = 1, ranks = 1;
  ClusterConfig config;
  double out_bytes_per_s = 1e6, in_bytes_per_s = 1e6;  // a byte takes a microsecond
  std::int64_t copies = 1, layers = 10;
  std::uint64_t seed = 1;
  HostRules host;

  explicit ToyPools(TransferOverlap overlap = TransferOverlap::none, std::int64_t senders = 1) {
    for (ToyEngine* engine : {&reads, &generates}) {
      engine->policy = "checkpoint=128";
      engine->costs = {1'000'000'000, 1000, 0, 500, 0};
    }
    config.window = kMs * 100;
    config.prefill = PrefillConfig{.replicas = senders};
    config.prefill->transfer.overlap = overlap;
  }

  RunResult play(const Trace& trace, const CostModel& cost, const WorkloadConfig& workload = {}) {
    Workload world(trace, workload, seed);
    ClusterParts parts{
        .make_replica = [&] { return std::make_unique<Replica>(toy_ranks(generates, ranks)); },
        .cost = &cost,
        .config = config,
        .seed = seed};
    parts.prefill = PrefillParts{
        .make_replica = [&] { return std::make_unique<Replica>(toy_ranks(reads, read_ranks)); },
        .cost = &cost,
        .host = host,
        .out_bytes_per_s = out_bytes_per_s,
        .in_bytes_per_s = in_bytes_per_s,
        .copies = copies,
        .layers = layers};
    return Simulation(trace, world, std::move(parts), host).run();
  }
};

Trace one_request(std::int64_t prompt = 128, std::int64_t output = 3) {
  Trace trace;
  add_request(trace, prompt, output, kSimStart);
  return trace;
}

// Links round up to whole nanoseconds.
std::int64_t to_us(SimTime at) {
  return (at - kSimStart) / Duration{1000};
}
std::int64_t first_token_us(const RunResult& result, std::size_t request = 0) {
  return to_us(result.records[request].first_token);
}

TEST_CASE("handover: a prompt is read, its state is sent, and then it generates") {
  ToyPools pools;
  pools.config.prefill->transfer.latency = Duration{100'000};
  const RunResult result = pools.play(one_request(), ConstantCost(kMs));
  const RequestRecord& r = result.records[0];
  // One step, then two blocks and a point.
  CHECK(r.admitted == kSimStart);
  CHECK(to_us(r.prompt_read) == 1000);
  CHECK(to_us(r.first_token) == 1000 + 100 + 2500);
  CHECK(to_us(r.second_token) == 1000 + 100 + 2500 + 1000);
  CHECK(to_us(r.finished) == 1000 + 100 + 2500 + 2000);
  CHECK(r.replica == 0);
  CHECK(r.prefill_replica == 1);
  CHECK(r.computed == Tokens{128});
  const TransferResult& sent = *result.cluster->transfer;
  CHECK(sent.requests == 1);
  CHECK(sent.moved == Bytes{2500});
  CHECK(sent.sent[CacheKind::csa] == 2000);
  CHECK(sent.sent[CacheKind::swa] == 500);
  CHECK(sent.dropped == Bytes{0});
  REQUIRE(sent.after_prompt_ms.size() == 1);
  CHECK(sent.after_prompt_ms[0] == doctest::Approx(2.6));
  CHECK(sent.moved_in_bytes == doctest::Approx(2500));
  CHECK(result.cluster->replicas[0].steps.steps == 2);
  CHECK(result.cluster->replicas[1].steps.steps == 1);
  CHECK(result.cluster->replicas[1].reads_prompts);
  CHECK(result.cluster->replicas[1].prompts_read == 1);
  CHECK(result.cluster->replicas[0].prompts_read == 0);
  // It waits while it is sent: 2.6 of 5.6 ms.
  CHECK(result.totals.waiting_mean == doctest::Approx(2.6 / 5.6));
}

TEST_CASE("handover: what is sent while the prompt is read is there earlier") {
  const auto first_us = [](TransferOverlap overlap, double bytes_per_s) {
    ToyPools pools(overlap);
    pools.in_bytes_per_s = bytes_per_s;
    pools.out_bytes_per_s = 2e9;
    pools.reads.step_tokens = Tokens{64};  // the prompt takes two steps
    return first_token_us(pools.play(one_request(), ConstantCost(kMs)));
  };
  // 2,500 bytes after 2 ms; 1,250 after 1 ms and as many after 2; nine tenths of 1,250 when each
  // step begins and the rest when it ends, which keeps the link busy from the first instant on.
  CHECK(first_us(TransferOverlap::none, 1e6) == 4500);
  CHECK(first_us(TransferOverlap::chunks, 1e6) == 3500);
  CHECK(first_us(TransferOverlap::layers, 1e6) == 2500);
  // Where the link is fast, what is left after the end: all, the second half, its last layer.
  CHECK(first_us(TransferOverlap::none, 1e7) == 2250);
  CHECK(first_us(TransferOverlap::chunks, 1e7) == 2125);
  CHECK(first_us(TransferOverlap::layers, 1e7) == 2012);  // 12.5
}

TEST_CASE("handover: layers also where steps are launched ahead of the GPU") {
  const auto first_us = [](TransferOverlap overlap) {
    ToyPools pools(overlap);
    pools.host.overlapped = true;
    pools.reads.step_tokens = Tokens{64};
    return first_token_us(pools.play(one_request(256), LinearCost{}));
  };
  const std::int64_t none = first_us(TransferOverlap::none);
  const std::int64_t chunks = first_us(TransferOverlap::chunks);
  const std::int64_t layers = first_us(TransferOverlap::layers);
  // Four steps of 1.064 ms, 4,500 bytes. After the first step the link is always busy; of what that
  // one computes, nine tenths of 1,125 bytes (in whole bytes a layer) go while it runs.
  CHECK(none == 4 * 1064 + 4500);
  CHECK(chunks == 1064 + 4500);
  CHECK(layers == 4500 + 1064 - 9 * 112);
}

TEST_CASE("handover: transfers share the links of both sides") {
  Trace trace;
  add_request(trace, 128, 3, kSimStart);
  add_request(trace, 128, 3, kSimStart);
  ToyPools pools(TransferOverlap::none, 2);
  const RunResult into = pools.play(trace, ConstantCost(kMs));
  CHECK(first_token_us(into, 0) == 1000 + 5000);
  CHECK(first_token_us(into, 1) == 1000 + 5000);
  CHECK(into.records[0].prefill_replica == 1);
  CHECK(into.records[1].prefill_replica == 2);

  ToyPools out;
  out.config.replicas = 2;
  const RunResult from = out.play(trace, ConstantCost(kMs));
  CHECK(first_token_us(from, 0) == 1000 + 5000);
  CHECK(from.records[1].replica == 1);

  // A copy for each of four GPUs, out of two cards.
  ToyPools wide;
  wide.copies = 4;
  wide.out_bytes_per_s = 2e6;
  wide.in_bytes_per_s = 4e6;
  CHECK(first_token_us(wide.play(one_request(), ConstantCost(kMs))) == 1000 + 5000);
}

TEST_CASE("handover: what is cached where it goes is not sent again, unless it shall be") {
  Trace trace;
  trace.block = Tokens{64};
  for (const std::int64_t at_us : {0, 50'000}) {
    TraceRequest& r = add_request(trace, 160, 40, us(at_us));
    trace.runs.push_back({7000, 2});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
  }
  trace.next_free_id = 9000;
  for (const bool reuse : {true, false}) {
    ToyPools pools;
    pools.config.prefill->transfer.reuse = reuse;
    const RunResult result = pools.play(trace, ConstantCost(kMs));
    const TransferResult& sent = *result.cluster->transfer;
    CHECK(sent.sent[CacheKind::csa] == (reuse ? 3000 + 1000 : 3000 + 3000));
    CHECK(sent.had == Tokens{reuse ? 128 : 0});
    CHECK(result.records[1].hit == Tokens{128});  // where the prompt is read
  }
  // A cache that keeps every token's window gets only the last one: nothing of it is shared.
  ToyPools full;
  full.generates.policy = "full";
  CHECK(full.play(trace, ConstantCost(kMs)).cluster->transfer->had == Tokens{0});
}

TEST_CASE("handover: it waits for a slot and for memory where it generates") {
  Trace trace;
  add_request(trace, 128, 11, kSimStart);
  add_request(trace, 128, 3, kSimStart);
  for (const TransferOverlap overlap : {TransferOverlap::none, TransferOverlap::layers}) {
    ToyPools pools(overlap, 2);
    pools.in_bytes_per_s = pools.out_bytes_per_s = 1e9;
    pools.generates.max_running = 1;
    const RunResult slots = pools.play(trace, ConstantCost(kMs));
    // The second is sent, or begins to be read, when the first has ended.
    CHECK(slots.records[1].first_token > slots.records[0].finished);
    CHECK(slots.records[1].prompt_read >
          (overlap == TransferOverlap::none ? kSimStart : slots.records[0].finished));
    CHECK(slots.records[1].prompt_read <
          (overlap == TransferOverlap::none ? slots.records[0].finished : us(1'000'000)));

    ToyPools tight(overlap, 2);
    tight.generates.costs.capacity = 3900;
    tight.config.prefill->transfer.room = Tokens{0};
    const RunResult memory = tight.play(trace, ConstantCost(kMs));
    CHECK(memory.records[1].first_token > memory.records[0].finished);
  }
}

TEST_CASE("handover: memory is kept where a prompt was read until it is sent") {
  Trace trace;
  add_request(trace, 128, 3, kSimStart);
  add_request(trace, 128, 3, kSimStart);
  ToyPools pools;
  pools.reads.costs.capacity = 3000;
  const RunResult result = pools.play(trace, ConstantCost(kMs));
  CHECK(to_us(result.records[0].first_token) == 3500);
  CHECK(to_us(result.records[1].prompt_read) == 4500);
  CHECK(to_us(result.records[1].first_token) == 7000);
}

TEST_CASE("handover: room is left to grow") {
  Trace trace;
  for (int i = 0; i < 6; ++i) add_request(trace, 128, 400, kSimStart);
  const auto preemptions = [&](std::int64_t room) {
    ToyPools pools(TransferOverlap::none, 2);
    pools.generates.costs = {16'000, 1000, 0, 500, 0};
    pools.config.prefill->transfer.room = Tokens{room};
    return pools.play(trace, ConstantCost(kMs)).totals.preemptions;
  };
  CHECK(preemptions(0) > 0);
  CHECK(preemptions(400) == 0);
}

TEST_CASE(
    "handover: one token comes from where the prompt is read, and what fits nowhere is refused") {
  Trace trace;
  add_request(trace, 128, 1, kSimStart);
  add_request(trace, 128, 0, kSimStart);
  add_request(trace, 128, 100'000, kSimStart);  // does not fit where it would generate
  add_request(trace, 100'000, 2, kSimStart);    // nor where its prompt would be read
  ToyPools pools;
  pools.reads.costs.capacity = 50'000;
  pools.generates.costs.capacity = 500'000;
  for (const TransferOverlap overlap : {TransferOverlap::none, TransferOverlap::chunks}) {
    pools.config.prefill->transfer.overlap = overlap;
    const RunResult result = pools.play(trace, ConstantCost(kMs));
    CHECK(result.records[0].end == RequestEnd::finished);
    CHECK(to_us(result.records[0].first_token) == 1000);
    CHECK(result.records[0].prefill_replica == -1);
    CHECK(result.records[0].replica == 1);
    CHECK(result.records[1].end == RequestEnd::finished);
    CHECK(result.records[2].end == RequestEnd::refused);
    CHECK(result.records[3].end == RequestEnd::refused);
    CHECK(result.records[3].finished == kSimStart);
    CHECK(result.cluster->transfer->requests == 0);
  }
}

ClusterEvent event_at(const RunResult& result, std::size_t i) {
  REQUIRE(i < result.cluster->events.size());
  return result.cluster->events[i];
}

FaultConfig lost_at(std::int64_t at_us, std::int64_t replica) {
  FaultConfig fault;
  fault.kind = "replica_lost";
  fault.at = Duration{1000} * at_us;
  fault.lasts = kMs * 10;
  fault.replica = replica;
  return fault;
}

TEST_CASE("handover: where it generates is lost while it is sent") {
  ToyPools pools;
  pools.config.faults = {lost_at(2000, 0)};  // 1,000 of 2,500 bytes are there
  const RunResult result = pools.play(one_request(), ConstantCost(kMs));
  const RequestRecord& r = result.records[0];
  CHECK(event_at(result, 0).lost_requests == 0);
  // What was read is kept, and sent once more when somebody is there to take it.
  CHECK(to_us(r.prompt_read) == 1000);
  CHECK(to_us(r.first_token) == 12'000 + 2500);
  CHECK(r.retries == 1);
  CHECK(result.cluster->transfer->dropped == Bytes{2500});

  pools.config.replicas = 2;
  CHECK(first_token_us(pools.play(one_request(), ConstantCost(kMs))) == 2000 + 2500);
}

// The third and fourth request have memory where they generate and wait for memory where the first
// two were read, which is kept for these: they have none any more where they generate.
TEST_CASE("handover: nobody waits for memory that waits for his own") {
  for (const TransferOverlap overlap : {TransferOverlap::chunks, TransferOverlap::layers}) {
    for (const std::size_t ranks : {std::size_t{1}, std::size_t{2}}) {
      CAPTURE(static_cast<int>(overlap));
      CAPTURE(ranks);
      ToyPools pools(overlap);
      pools.config.replicas = 2;
      pools.config.router = "shortest_queue";
      pools.config.prefill->transfer.room = Tokens{0};
      pools.ranks = ranks;
      for (ToyEngine* engine : {&pools.reads, &pools.generates}) {
        engine->costs = {550'000, 100'000, 0, 50'000,
                         0};  // for two of them; each is sent for 250 ms
      }
      pools.config.faults = {lost_at(0, 1), lost_at(20'000, 0)};
      pools.config.faults[1].lasts = kMs * 100;
      Trace trace;
      for (const std::int64_t at_us : {100, 200, 15'000, 15'100}) {
        for (std::size_t rank = 0; rank < ranks; ++rank) {
          add_request(trace, 128, 3, us(at_us));
        }
      }
      const RunResult result = pools.play(trace, ConstantCost(kMs));
      CHECK(result.totals.finished == static_cast<std::int64_t>(trace.requests.size()));
      CHECK(result.cluster->transfer->dropped > Bytes{0});
    }
  }
}

// On its way for 50 ms to a replica that is lost every other millisecond, until nothing is lost any more.
TEST_CASE("handover: what does not arrive is sent again no more often than a request is") {
  for (const TransferOverlap overlap :
       {TransferOverlap::none, TransferOverlap::chunks, TransferOverlap::layers}) {
    CAPTURE(static_cast<int>(overlap));
    ToyPools pools(overlap);
    pools.config.prefill->transfer.latency = kMs * 50;
    for (std::int64_t n = 1; n <= 30; ++n) {
      pools.config.faults.push_back(lost_at(2000 * n, 0));
      pools.config.faults.back().lasts = kMs;
    }
    pools.config.retry_limit = 2;
    const RunResult result = pools.play(one_request(), ConstantCost(kMs));
    CHECK(result.totals.failed == 1);
    CHECK(result.records[0].retries == 2);
    CHECK(result.cluster->transfer->requests == 0);
    pools.config.retry_limit = 1000;
    const RunResult patient = pools.play(one_request(), ConstantCost(kMs));
    CHECK(patient.totals.finished == 1);
    CHECK(patient.records[0].retries > 20);
  }
}

TEST_CASE("handover: where its prompt was read is lost while it is sent") {
  ToyPools pools(TransferOverlap::none, 2);
  pools.config.faults = {lost_at(2000, 1)};
  const RunResult result = pools.play(one_request(), ConstantCost(kMs));
  const RequestRecord& r = result.records[0];
  CHECK(event_at(result, 0).lost_requests == 1);
  CHECK(r.retries == 1);
  CHECK(r.prefill_replica == 2);
  CHECK(to_us(r.prompt_read) == 3000);
  CHECK(to_us(r.first_token) == 5500);
  CHECK(result.cluster->transfer->dropped == Bytes{2500});
  CHECK(result.cluster->replicas[1].lost_tokens == Tokens{128});
}

TEST_CASE("handover: lost while it generates, it begins anew with its prompt") {
  ToyPools pools;
  pools.config.faults = {lost_at(4000, 0)};  // it has had all since 3.5 ms
  const RunResult result = pools.play(one_request(), ConstantCost(kMs));
  const RequestRecord& r = result.records[0];
  CHECK(r.retries == 1);
  CHECK(to_us(r.prompt_read) == 5000);
  CHECK(to_us(r.first_token) == 14'000 + 2500);  // nobody is up before 14 ms
  CHECK(r.hit == Tokens{0});
  CHECK(result.totals.finished == 1);
}

FaultConfig slow_at(std::int64_t at_us, std::int64_t replica, double share, std::int64_t for_us) {
  FaultConfig fault = lost_at(at_us, replica);
  fault.kind = "slow_link";
  fault.place = kTransferLinks;
  fault.share = share;
  fault.lasts = Duration{1000} * for_us;
  return fault;
}

// The times of a byte a microsecond, on links that may become slower: four copies at four.
ToyPools with_slow_links(const std::vector<FaultConfig>& faults) {
  ToyPools pools;
  pools.copies = 4;
  pools.in_bytes_per_s = pools.out_bytes_per_s = 4e6;
  pools.config.faults = faults;
  return pools;
}

TEST_CASE("slow_link: what is handed over goes on at the rate that the links of both sides have") {
  const auto first_us = [](const std::vector<FaultConfig>& faults) {
    const RunResult result = with_slow_links(faults).play(one_request(), ConstantCost(kMs));
    const TransferResult& sent = *result.cluster->transfer;
    CHECK(sent.moved_in_bytes == doctest::Approx(10'000));
    CHECK(sent.moved_in_bytes <= sent.offered_in_bytes);
    CHECK(sent.moved_out_bytes <= sent.offered_out_bytes);
    return first_token_us(result);
  };
  // 2.5 ms of sending from 1 ms on. A quarter of it for 2 ms from 1.5 ms on: 0.5 and 0.5 of it, and
  // the rest from 3.5 ms on.
  CHECK(first_us({}) == 3500);
  CHECK(first_us({slow_at(1500, 0, 0.25, 2000)}) == 3500 + 1500);  // into the one that generates
  CHECK(first_us({slow_at(1500, 1, 0.25, 2000)}) == 3500 + 1500);  // out of the one that reads
  // At once the slower one holds; one after the other each for its time.
  CHECK(first_us({slow_at(1500, 0, 0.25, 2000), slow_at(1500, 1, 0.5, 2000)}) == 3500 + 1500);
  CHECK(first_us({slow_at(1500, 0, 0.25, 1000), slow_at(2000, 0, 0.5, 1000)}) ==
        3000 + 2500 - 500 - 250 - 250);
  // Before anything is sent, and after all was.
  CHECK(first_us({slow_at(0, 0, 0.25, 1000)}) == 3500);
  CHECK(first_us({slow_at(4000, 0, 0.25, 1000)}) == 3500);
}

TEST_CASE("slow_link: links between replicas are busy for as long as they are slow, and no more") {
  const RunResult result =
      with_slow_links({slow_at(0, 0, 0.5, 100'000)}).play(one_request(128, 2), ConstantCost(kMs));
  CHECK(event_at(result, 0).what == "transfer links slow, 0.5 of their bandwidth");
  CHECK(first_token_us(result) == 1000 + 5000);
  // 7 ms: one reads, five it is sent, one generates. Half as much could have come in.
  const ClusterSummary summary = summarise_cluster(result);
  CHECK(summary.transfer->in_utilisation == doctest::Approx(2500 / (7000 * 0.5)).epsilon(0.001));
  CHECK(summary.transfer->out_utilisation == doctest::Approx(2500.0 / 7000).epsilon(0.001));
}

TEST_CASE("slow_link: it outlives the replica whose links it struck") {
  const RunResult result =  // it is back after 10 ms
      with_slow_links({slow_at(500, 0, 0.5, 30'000), lost_at(2000, 0)})
          .play(one_request(), ConstantCost(kMs));
  CHECK(first_token_us(result) == 12'000 + 5000);
}

ToyPools random_pools(std::uint64_t seed) {
  const TransferOverlap overlaps[] = {TransferOverlap::none, TransferOverlap::chunks,
                                      TransferOverlap::layers};
  ToyPools pools(overlaps[seed % 3], 1 + static_cast<std::int64_t>(seed / 3 % 3));
  const std::vector<std::string> policies = {"full", "checkpoint=128", "recompute", "replay"};
  pools.reads = tight_engine(policies[seed % 4]);
  pools.generates = tight_engine(policies[seed / 4 % 4]);
  for (ToyEngine* engine : {&pools.reads, &pools.generates}) {
    engine->costs.block *= 1000;
    engine->costs.block_window *= 1000;
    engine->costs.point *= 1000;
    engine->costs.running *= 1000;
    engine->costs.in_flight = 0;
    engine->costs.capacity = 150'000;
  }
  if (seed % 5 == 1) pools.generates.scheduler = "vllm";
  if (seed % 5 == 2) {
    for (ToyEngine* engine : {&pools.reads, &pools.generates}) {
      engine->scheduler = "sglang";
      engine->rules.options = known_engine("sglang").scheduler->options;
    }
  }
  pools.read_ranks = 1 + seed % 2;
  pools.ranks = 1 + seed / 2 % 3;
  pools.copies = 1 + static_cast<std::int64_t>(seed % 2);
  pools.in_bytes_per_s = seed % 7 == 0 ? 1e9 : 3e6;
  pools.config.replicas = 1 + static_cast<std::int64_t>(seed / 5 % 3);
  pools.config.router = seed % 2 == 0 ? "round_robin" : "shortest_queue";
  pools.config.prefill->router = seed % 3 == 0 ? "prefix_affinity=0.2" : "least_tokens";
  pools.config.prefill->transfer.reuse = seed % 4 != 3;
  pools.config.prefill->transfer.room = Tokens{static_cast<std::int64_t>(seed % 3) * 64};
  pools.config.prefill->transfer.latency = Duration{static_cast<std::int64_t>(seed % 2) * 50'000};
  pools.host.overlapped = seed % 5 < 2;
  if (seed % 7 == 3) pools.host.prompt_token = Duration{3000};
  pools.seed = seed;
  return pools;
}

// Simulation::run() checks that every request ends once, that memory which is written or received is
// cached or evicted, that what is sent arrives or is dropped, and Little's law.
TEST_CASE("handover: nothing is lost under memory pressure") {
  std::int64_t preemptions = 0, had = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    const Trace trace = random_sessions(seed, 30);
    const WorkloadConfig workload = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
    const RunResult result = random_pools(seed).play(trace, LinearCost{}, workload);
    std::int64_t shared = 0;
    for (const RequestRecord& r : result.records) {
      if (r.end == RequestEnd::finished && r.output > Tokens{1}) ++shared;
      if (r.prefill_replica < 0) continue;
      CHECK(r.prompt_read > r.admitted);
      CHECK(r.first_token > r.prompt_read);
    }
    const TransferResult& sent = *result.cluster->transfer;
    CHECK(sent.requests == shared);
    CHECK(sent.dropped == Bytes{0});
    CHECK(sent.moved_in_bytes == doctest::Approx(static_cast<double>(sent.moved.value)));
    CHECK(sent.moved_out_bytes == doctest::Approx(static_cast<double>(sent.moved.value)));
    preemptions += result.totals.preemptions;
    had += sent.had.value;
  }
  CHECK(preemptions > 0);
  CHECK(had > 0);
}

TEST_CASE("handover: 200 random schedules of faults lose no request and repeat themselves") {
  struct Seen {
    std::uint64_t first = 0, second = 0;
    std::int64_t requests = 0, ended = 0, failed = 0, dropped = 0, retried = 0, slow = 0;
    double used = 0;  // the most of any direction's links
  };
  std::vector<Seen> seen(200);
  parallel_for(
      seen.size(),
      [&](std::size_t i) {
        const std::uint64_t seed = i + 1;
        const Trace trace = random_sessions(seed, 25);
        ToyPools pools = random_pools(seed);
        RandomEngine random = RandomStreams(seed).stream("fault schedule");
        const auto draw = [&](std::uint64_t most) {
          return static_cast<std::int64_t>(random() % most);
        };
        if (seed % 4 == 0) {
          pools.config.autoscale = AutoscaleConfig{.policy = "requests=6",
                                                   .min = 1,
                                                   .max = pools.config.replicas + 2,
                                                   .start_up = kMs * 40,
                                                   .interval = kMs * 10,
                                                   .hold = kMs * 30};
        }
        pools.out_bytes_per_s =
            3e6;  // seed 91 ends only if nobody holds memory for a reader that drains
        const std::vector<std::string> kinds = {"replica_lost", "rank_lost", "restart",
                                                "slow_rank"};
        for (std::int64_t n = draw(12); n >= 0; --n) {
          FaultConfig fault = lost_at(
              draw(1'500'000), draw(static_cast<std::uint64_t>(pools.config.most_replicas())));
          fault.kind = kinds[random() % kinds.size()];
          fault.lasts = kMs * (1 + draw(300));
          fault.rank = draw(std::min(pools.read_ranks, pools.ranks));
          fault.factor = static_cast<double>(1 + draw(4));
          if (random() % 4 == 0) {
            fault.at.reset();
            fault.mtbf = kMs * (1 + draw(800));
          }
          pools.config.faults.push_back(fault);
        }
        for (std::int64_t n = draw(3); n >= 0; --n) {
          const std::int64_t replica =
              draw(static_cast<std::uint64_t>(pools.config.most_replicas()));
          const double share = 0.35 + 0.05 * static_cast<double>(draw(13));  // of 3 MB/s
          pools.config.faults.push_back(
              slow_at(draw(1'000'000), replica, share, 1000 * (1 + draw(300))));
        }
        pools.config.retry_limit = static_cast<std::int64_t>(seed % 5);
        pools.config.retry_delay = kMs * static_cast<std::int64_t>(seed % 4 * 7);
        const WorkloadConfig workload = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
        const RunResult result = pools.play(trace, LinearCost{}, workload);
        Seen& s = seen[i];
        s.first = result.totals.result_hash;
        s.second = pools.play(trace, LinearCost{}, workload).totals.result_hash;
        s.requests = static_cast<std::int64_t>(trace.requests.size());
        s.ended = result.totals.finished + result.totals.refused + result.totals.failed;
        s.failed = result.totals.failed;
        s.dropped = result.cluster->transfer->dropped.value;
        const ClusterSummary summary = summarise_cluster(result);
        s.retried = summary.retried;
        s.used = std::max(summary.transfer->in_utilisation, summary.transfer->out_utilisation);
        s.slow = std::ranges::count_if(result.cluster->events, [](const ClusterEvent& event) {
          return event.what.starts_with("transfer links slow");
        });
      },
      2);
  std::int64_t failed = 0, dropped = 0, retried = 0, slow = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CAPTURE(i + 1);
    CHECK(seen[i].first == seen[i].second);
    CHECK(seen[i].ended == seen[i].requests);
    CHECK(seen[i].used <= 1);
    slow += seen[i].slow;
    failed += seen[i].failed;
    dropped += seen[i].dropped;
    retried += seen[i].retried;
  }
  CHECK(failed > 0);
  CHECK(dropped > 0);
  CHECK(retried > 0);
  CHECK(slow > 100);
}

}  // namespace
}  // namespace v4cap
