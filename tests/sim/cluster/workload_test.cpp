#include "sim/cluster/workload.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sim/core/error.h"
#include "tests/sim/cluster/toy_world.h"

namespace v4cap {
namespace {

SimTime at_s(double seconds) {
  return kSimStart + duration_from_seconds(seconds);
}

std::vector<std::pair<SimTime, std::uint32_t>> pairs(const std::vector<Arrival>& arrivals) {
  std::vector<std::pair<SimTime, std::uint32_t>> out;
  for (const Arrival& a : arrivals) out.emplace_back(a.at, a.request);
  return out;
}

// All that waits for nothing.
std::vector<Arrival> initial(Workload& workload) {
  std::vector<Arrival> out;
  while (const auto arrival = workload.next_initial()) out.push_back(*arrival);
  return out;
}
std::vector<Arrival> initial(Workload&& workload) {
  return initial(workload);
}

using Expected = std::vector<std::pair<SimTime, std::uint32_t>>;

// Sessions of a main request, two sub-agents that start after it, and a join that waits for both.
void add_fork_and_join(Trace& trace) {
  const auto session = static_cast<std::int32_t>(trace.session_names.size());
  trace.session_names.push_back("s" + std::to_string(session));
  trace.has_sessions = true;
  const auto first = static_cast<std::uint32_t>(trace.requests.size());
  const std::vector<std::vector<std::uint32_t>> after = {
      {}, {first}, {first}, {first + 1, first + 2}};
  for (std::size_t turn = 0; turn < after.size(); ++turn) {
    trace.after.insert(trace.after.end(), after[turn].begin(), after[turn].end());
    TraceRequest& r = add_request(trace, 10, 2);
    r.session = session;
    r.turn = static_cast<std::int32_t>(turn);
    r.after_begin = static_cast<std::uint32_t>(trace.after.size() - after[turn].size());
    r.after_end = static_cast<std::uint32_t>(trace.after.size());
    r.think = Duration{1'000 * static_cast<std::int64_t>(turn)};
  }
}

TEST_CASE("workload: times of the trace, in order, scaled") {
  Trace trace;
  for (const double s : {3.0, 1.0, 1.0, 2.5}) add_request(trace, 1, 1, at_s(s));
  Workload plain(trace, {}, 1);
  CHECK(plain.open_loop());
  CHECK(pairs(initial(plain)) ==
        Expected{{at_s(1), 1}, {at_s(1), 2}, {at_s(2.5), 3}, {at_s(3), 0}});
  WorkloadConfig slower;
  slower.time_scale = 2;
  CHECK(pairs(initial(Workload(trace, slower, 1))).back() == Expected::value_type{at_s(6), 0});
}

TEST_CASE("workload: a trace without times is refused, with the ways out") {
  Trace trace;
  add_request(trace, 1, 1);
  trace.has_arrivals = false;
  trace.name = "batch.csv";
  try {
    Workload(trace, {}, 1);
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("batch.csv: the trace has no arrival times") == 0);
  }
  for (const ArrivalMode mode : {ArrivalMode::burst, ArrivalMode::closed_loop}) {
    WorkloadConfig config;
    config.arrivals = mode;
    CHECK_NOTHROW(Workload(trace, config, 1));
  }
}

TEST_CASE("workload: Poisson gaps have the mean and the variance of an exponential") {
  Trace trace;
  for (int i = 0; i < 40'000; ++i) add_request(trace, 1, 1);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::poisson;
  config.rate_per_s = 4;
  const auto arrivals = initial(Workload(trace, config, 5));
  double sum = 0, squares = 0;
  for (std::size_t i = 1; i < arrivals.size(); ++i) {
    CHECK(arrivals[i].request == i);
    const double gap_s = to_seconds(arrivals[i].at - arrivals[i - 1].at);
    sum += gap_s;
    squares += gap_s * gap_s;
  }
  const double n = static_cast<double>(arrivals.size() - 1);
  CHECK(sum / n == doctest::Approx(0.25).epsilon(0.02));  // 4 standard errors
  CHECK(squares / n == doctest::Approx(2 * 0.0625).epsilon(0.05));
  CHECK(pairs(arrivals) == pairs(initial(Workload(trace, config, 5))));
  CHECK(pairs(arrivals) != pairs(initial(Workload(trace, config, 6))));
}

TEST_CASE(
    "workload: times of the trace hold back what would come too early, and turns keep order") {
  Trace trace;
  add_fork_and_join(trace);
  trace.has_arrivals = true;
  for (TraceRequest& r : trace.requests) r.arrival = duration_from_seconds(10.0 * r.turn);
  Workload workload(trace, {}, 1);
  CHECK(pairs(initial(workload)) == Expected{{kSimStart, 0}});
  std::vector<Arrival> released;
  workload.ended(0, at_s(12), released);
  // Request 1 would have come at 10 s, before the one it waits for had ended; request 2 comes at
  // its time.
  CHECK(pairs(released) == Expected{{at_s(12) + Duration{1'000}, 1}, {at_s(20), 2}});
}

TEST_CASE("workload: in a burst everything comes at once, but what waits for another waits") {
  Trace trace;
  add_fork_and_join(trace);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::burst;
  Workload workload(trace, config, 1);
  CHECK_FALSE(workload.open_loop());
  CHECK(pairs(initial(workload)) == Expected{{kSimStart, 0}});
  std::vector<Arrival> released;
  workload.ended(0, at_s(1), released);
  CHECK(released.size() == 2);
}

TEST_CASE("workload: closed loop forks, joins and goes on to the next session") {
  Trace trace;
  add_fork_and_join(trace);
  add_fork_and_join(trace);
  trace.requests[4].think = Duration{77};
  WorkloadConfig config;
  config.arrivals = ArrivalMode::closed_loop;
  config.sessions_at_a_time = 1;
  Workload workload(trace, config, 1);
  CHECK(pairs(initial(workload)) == Expected{{kSimStart, 0}});
  const auto after = [&](std::uint32_t request, std::int64_t ns) {
    std::vector<Arrival> released;
    workload.ended(request, SimTime{Duration{ns}}, released);
    return pairs(released);
  };
  const auto ns = [](std::int64_t n) { return SimTime{Duration{n}}; };
  CHECK(after(0, 500) == Expected{{ns(1500), 1}, {ns(2500), 2}});
  CHECK(after(2, 9'000).empty());
  CHECK(after(1, 20'000) == Expected{{ns(23'000), 3}});  // the last of both, and its think time
  CHECK(after(3, 30'000) == Expected{{ns(30'077), 4}});
}

TEST_CASE("workload: a closed loop over requests without sessions plays them one by one") {
  Trace trace;
  for (int i = 0; i < 4; ++i) add_request(trace, 1, 1);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::closed_loop;
  config.sessions_at_a_time = 2;
  Workload workload(trace, config, 1);
  CHECK(initial(workload).size() == 2);
  std::vector<Arrival> released;
  workload.ended(1, at_s(1), released);
  CHECK(pairs(released) == Expected{{at_s(1), 2}});
}

TEST_CASE("workload: a client sends in waves of a warm-up, then the next as one ends") {
  Trace trace;
  for (int i = 0; i < 4; ++i) add_request(trace, 10 + i, 50 + i, at_s(100 * i));
  WorkloadConfig config;
  config.arrivals = ArrivalMode::client;
  config.concurrency = 2;
  config.warmup_requests = 3;
  add_warmups(config, trace);
  Workload client(trace, config, 1);
  CHECK_FALSE(client.open_loop());
  CHECK(pairs(initial(client)) == Expected{{kSimStart, 4}, {kSimStart, 5}});
  CHECK(client.is_warmup(4));
  CHECK_FALSE(client.is_warmup(3));
  CHECK(trace.requests[6].prompt == Tokens{10});
  CHECK(trace.requests[6].output == kWarmupOutput);
  CHECK(trace.requests[2].output == Tokens{52});
  CHECK(client.warmups() == 3);
  const auto released = [&](std::uint32_t request, double s) {
    std::vector<Arrival> out;
    client.ended(request, at_s(s), out);
    return pairs(out);
  };
  CHECK(released(4, 1) == Expected{{at_s(1), 6}});
  CHECK(released(6, 2) == Expected{});  // one is still in flight
  CHECK(released(5, 3) == Expected{{at_s(3), 0}, {at_s(3), 1}});
  CHECK(released(1, 4) == Expected{{at_s(4), 2}});
  CHECK(released(0, 5) == Expected{{at_s(5), 3}});
  CHECK(released(2, 6) == Expected{});
  CHECK(released(3, 7) == Expected{});
}

TEST_CASE("workload: a request that waits comes once, though what it waits for has long ended") {
  Trace trace;
  add_fork_and_join(trace);
  add_request(trace, 1, 1);
  for (const ArrivalMode mode : {ArrivalMode::burst, ArrivalMode::poisson}) {
    WorkloadConfig config;
    config.arrivals = mode;
    config.rate_per_s = 1;
    Workload workload(trace, config, 1);
    CHECK_FALSE(workload.last_arrival());
    CHECK(workload.next_initial()->request == 0);
    std::vector<Arrival> released;
    workload.ended(0, at_s(1), released);
    CHECK(released.size() == 2);
    CHECK(workload.next_initial()->request == 4);
    CHECK_FALSE(workload.next_initial());
  }
}

TEST_CASE("workload: when the last request of an open loop comes is known before the first") {
  Trace trace;
  for (const double s : {3.0, 1.0, 9.0, 2.5}) add_request(trace, 1, 1, at_s(s));
  CHECK(Workload(trace, {}, 1).last_arrival() == at_s(9));
  WorkloadConfig config;
  config.arrivals = ArrivalMode::poisson;
  config.rate_per_s = 3;
  trace.cycled_to = 1'000;
  Workload poisson(trace, config, 4);
  const auto last = poisson.last_arrival();
  const auto arrivals = initial(poisson);
  REQUIRE(arrivals.size() == 1'000);
  CHECK(last == arrivals.back().at);
  CHECK(arrivals.back().request == 999);
  config.arrivals = ArrivalMode::closed_loop;
  CHECK_FALSE(Workload(trace, config, 4).last_arrival());
}

TEST_CASE("workload: a client refuses requests that wait for others") {
  Trace trace;
  add_fork_and_join(trace);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::client;
  CHECK_THROWS_AS(Workload(trace, config, 1), InputError);
}

}  // namespace
}  // namespace v4cap
