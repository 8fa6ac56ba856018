// Links: who gets which share, when transfers end, that no byte is lost and no link does more than
// it can; and what queueing theory says of one link.
#include "sim/transfer/links.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <boost/random/uniform_real_distribution.hpp>
#include <cmath>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "sim/core/random.h"
#include "tests/dies.h"

namespace v4cap {
namespace {

constexpr double kGB = 1e9;  // bytes/s: a byte a nanosecond

SimTime at_ns(std::int64_t ns) {
  return kSimStart + Duration{ns};
}

// When each transfer ends, by following the links from change to change.
std::map<TransferId, std::int64_t> play_out(Links& links) {
  std::map<TransferId, std::int64_t> ends;
  std::vector<TransferId> delivered;
  while (const auto next = links.next_change()) {
    links.advance(*next, delivered);
    for (const TransferId id : delivered) ends[id] = (*next - kSimStart).count();
    delivered.clear();
    links.check();
  }
  return ends;
}

TEST_CASE("links: one transfer takes the latency and its bytes at full bandwidth") {
  Links links;
  const LinkId a = links.add({"pcie", 2 * kGB, Duration{100}});
  const LinkId path[] = {a};
  const TransferId id = links.start(path, Bytes{1000}, at_ns(50));
  CHECK(links.under_way(id));
  CHECK(play_out(links).at(id) == 50 + 100 + 500);
  CHECK_FALSE(links.under_way(id));
  const LinkBooks books = links.books(a);
  CHECK(books.delivered == Bytes{1000});
  CHECK(books.busy == Duration{500});
  CHECK(books.moved_bytes == doctest::Approx(1000));
  CHECK(books.utilisation() == doctest::Approx(500.0 / 650.0));
}

TEST_CASE("links: transfers slow each other, and who is left gets all") {
  Links links;
  const LinkId path[] = {links.add({"pcie", kGB})};
  const TransferId a = links.start(path, Bytes{1000}, at_ns(0));
  const TransferId b = links.start(path, Bytes{300}, at_ns(200));
  const auto ends = play_out(links);
  // From 200 on each has half: b's 300 take 600; a has 500 left then.
  CHECK(ends.at(b) == 800);
  CHECK(ends.at(a) == 1300);
}

TEST_CASE("links: one at a time serves in the order in which transfers came") {
  Links links;
  const LinkId path[] = {links.add({"ssd", kGB, Duration{0}, LinkSharing::one_at_a_time})};
  const TransferId a = links.start(path, Bytes{1000}, at_ns(0));
  const TransferId b = links.start(path, Bytes{300}, at_ns(200));
  const TransferId c = links.start(path, Bytes{1}, at_ns(200));
  const auto ends = play_out(links);
  CHECK(ends.at(a) == 1000);
  CHECK(ends.at(b) == 1300);
  CHECK(ends.at(c) == 1301);
}

TEST_CASE("links: over several links a transfer gets the least of its shares, max-min fair") {
  Links links;
  const LinkId wide = links.add({"wide", 9 * kGB}), narrow = links.add({"narrow", 2 * kGB});
  const LinkId both[] = {wide, narrow}, only_wide[] = {wide}, only_narrow[] = {narrow};
  // narrow: 1 each; wide: what the first cannot use, 8, is the second's.
  const TransferId a = links.start(both, Bytes{1000}, at_ns(0));
  const TransferId b = links.start(only_wide, Bytes{8000}, at_ns(0));
  const TransferId c = links.start(only_narrow, Bytes{500}, at_ns(0));
  const auto ends = play_out(links);
  CHECK(ends.at(c) == 500);
  // Then a has all of narrow, 2, and b 7 of wide: a's other 500 end at 750.
  CHECK(ends.at(a) == 750);
  // 500 x 8 + 250 x 7 = 5750 bytes; the other 2250 at 9 a nanosecond.
  CHECK(ends.at(b) == 1000);
  CHECK(links.books(wide).utilisation() == doctest::Approx(1));
}

TEST_CASE("links: a cancelled transfer is counted, and its share is free") {
  Links links;
  const LinkId a = links.add({"pcie", kGB});
  const LinkId path[] = {a};
  const TransferId first = links.start(path, Bytes{1000}, at_ns(0));
  const TransferId second = links.start(path, Bytes{1000}, at_ns(0));
  links.cancel(first, at_ns(1000));
  const auto ends = play_out(links);
  CHECK(ends.size() == 1);
  CHECK(ends.at(second) == 1500);
  const LinkBooks books = links.books(a);
  CHECK(books.asked == Bytes{2000});
  CHECK(books.delivered == Bytes{1000});
  CHECK(books.cancelled == Bytes{1000});
  CHECK(books.moved_bytes == doctest::Approx(1500));
  CHECK(dies([&] { links.cancel(first, at_ns(2000)); }));
}

TEST_CASE("links: a link that becomes slow delays what is under way") {
  Links links;
  const LinkId a = links.add({"pcie", 2 * kGB});
  const LinkId path[] = {a};
  const TransferId id = links.start(path, Bytes{1000}, at_ns(0));
  links.set_bandwidth(a, 0.5 * kGB, at_ns(250));
  CHECK(play_out(links).at(id) == 250 + 1000);
  CHECK(links.books(a).utilisation() == doctest::Approx(1));
}

TEST_CASE("links: what ends at the instant of another start is delivered at the next advance") {
  Links links;
  const LinkId path[] = {links.add({"pcie", kGB})};
  const TransferId a = links.start(path, Bytes{100}, at_ns(0));
  const TransferId b = links.start(path, Bytes{100}, at_ns(100));
  CHECK(links.next_change() == at_ns(100));
  std::vector<TransferId> delivered;
  links.advance(at_ns(100), delivered);
  CHECK(delivered == std::vector<TransferId>{a});
  CHECK(play_out(links).at(b) == 200);
}

TEST_CASE("links: a transfer without bytes takes the latency alone") {
  Links links;
  const LinkId path[] = {links.add({"pcie", kGB, Duration{7}})};
  const TransferId id = links.start(path, Bytes{0}, at_ns(3));
  CHECK(play_out(links).at(id) == 10);
}

TEST_CASE("links: wrong use stops the program") {
  Links links;
  const LinkId a = links.add({"pcie", kGB});
  const LinkId twice[] = {a, a};
  CHECK(dies([&] { links.start(twice, Bytes{1}, at_ns(0)); }));
  CHECK(dies([&] { links.start({}, Bytes{1}, at_ns(0)); }));
  CHECK(dies([&] { links.add({"slow", 10}); }));
  std::vector<TransferId> delivered;
  links.advance(at_ns(10), delivered);
  CHECK(dies([&] { links.advance(at_ns(9), delivered); }));
}

struct Asked {
  SimTime at;
  std::vector<LinkId> path;
  Bytes bytes;
};

void add_random_links(Links& links, RandomEngine& random) {
  boost::random::uniform_real_distribution<double> bandwidth(0.1 * kGB, 10 * kGB);
  boost::random::uniform_int_distribution<int> latency(0, 500), sharing(0, 2);
  for (int i = 0; i < 5; ++i) {
    const LinkSharing how = sharing(random) == 0 ? LinkSharing::one_at_a_time : LinkSharing::equal;
    links.add({"link" + std::to_string(i), bandwidth(random), Duration{latency(random)}, how});
  }
}

TEST_CASE("links: random transfers lose no byte, and small steps give what large ones do") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomEngine random = RandomStreams(seed).stream("links");
    Links large, small;
    RandomEngine same = random;
    add_random_links(large, random);
    add_random_links(small, same);
    boost::random::uniform_int_distribution<int> bytes(0, 20000), gap(0, 3000), steps(1, 4),
        pick(0, 4), fate(0, 9);
    std::vector<TransferId> large_ends, small_ends;
    SimTime now = kSimStart;
    for (int i = 0; i < 60; ++i) {
      std::vector<LinkId> path;
      for (LinkId link = 0; link < 5; ++link) {
        if (pick(random) == 0) path.push_back(link);
      }
      if (path.empty()) path.push_back(static_cast<LinkId>(pick(random)));
      const Bytes amount{bytes(random)};
      const TransferId id = large.start(path, amount, now);
      CHECK(small.start(path, amount, now) == id);
      const SimTime before = now;
      now += Duration{gap(random)};
      const int pieces = steps(random);
      for (int k = 1; k <= pieces; ++k) {
        small.advance(before + (now - before) * k / pieces, small_ends);
      }
      large.advance(now, large_ends);
      REQUIRE(large_ends == small_ends);
      if (fate(random) == 0 && large.under_way(id)) {
        large.cancel(id, now);
        small.cancel(id, now);
      }
      if (fate(random) == 0) {
        const auto link = static_cast<LinkId>(pick(random));
        const double other = kGB * (1 + fate(random));
        large.set_bandwidth(link, other, now);
        small.set_bandwidth(link, other, now);
      }
      large.check();
    }
    CHECK(play_out(large) == play_out(small));
    for (LinkId link = 0; link < 5; ++link) {
      const LinkBooks a = large.books(link), b = small.books(link);
      CHECK(a.asked == a.delivered + a.cancelled);
      CHECK(a.moved_bytes == b.moved_bytes);
      CHECK(a.utilisation() <= 1);
      CHECK(a.busy == b.busy);
    }
  }
}

// Mean time that Poisson transfers over one link spend beside their own bytes' time (`wait`) and in
// all, of `count` after `warmup`, in nanoseconds.
struct Times {
  double wait = 0, sojourn = 0;
};

template <class Size>
Times poisson_run(std::uint64_t seed, LinkSharing sharing, double mean_gap_ns, int warmup,
                  int count, Size size) {
  RandomEngine random = RandomStreams(seed).stream("links");
  boost::random::exponential_distribution<double> gap(1.0 / mean_gap_ns);
  Links links;
  const LinkId path[] = {links.add({"link", kGB, Duration{0}, sharing})};
  struct Open {
    SimTime start;
    Bytes bytes;
  };
  std::map<TransferId, Open> open;
  std::vector<TransferId> delivered;
  Times sum;
  const auto note = [&](SimTime now) {
    for (const TransferId id : delivered) {
      const auto it = open.find(id);
      if (id >= static_cast<TransferId>(warmup) && id < static_cast<TransferId>(warmup + count)) {
        const auto took = static_cast<double>((now - it->second.start).count());
        sum.sojourn += took / count;
        sum.wait += (took - static_cast<double>(it->second.bytes.value)) / count;
      }
      open.erase(it);
    }
    delivered.clear();
  };
  double clock_ns = 0;
  for (int i = 0; i < warmup + count; ++i) {
    clock_ns += gap(random);
    const SimTime arrival = at_ns(std::llround(clock_ns));
    for (auto next = links.next_change(); next && *next <= arrival; next = links.next_change()) {
      links.advance(*next, delivered);
      note(*next);
    }
    const Bytes bytes{size(random)};
    open[links.start(path, bytes, arrival)] = {arrival, bytes};
  }
  while (const auto next = links.next_change()) {
    links.advance(*next, delivered);
    note(*next);
  }
  links.check();
  return sum;
}

struct Interval {
  double mean = 0, half = 0;  // 99.9 % by Student's t with 199 degrees of freedom
};

Interval interval_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, 3.34 * std::sqrt(squares / (n - 1) / n)};
}

TEST_CASE("links: one at a time with Poisson transfers of one size waits as M/D/1") {
  // Wait = load x service / (2 (1 - load)).
  for (const double load : {0.5, 0.8}) {
    constexpr double kService = 10000;
    std::vector<double> waits;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      waits.push_back(poisson_run(seed, LinkSharing::one_at_a_time, kService / load, 500, 4000,
                                  [](RandomEngine&) { return std::int64_t{10000}; })
                          .wait);
    }
    const Interval found = interval_of(waits);
    const double expected = load * kService / (2 * (1 - load));
    INFO("load ", load, ": ", found.mean, " +- ", found.half, ", M/D/1 ", expected);
    CHECK(std::abs(found.mean - expected) <= found.half);
    CHECK(found.half < 0.03 * expected);
  }
}

TEST_CASE("links: equal shares with Poisson transfers stay as in M/G/1 processor sharing") {
  // Sojourn = service / (1 - load), whatever the sizes' distribution.
  for (const double load : {0.5, 0.7}) {
    constexpr double kService = 10000;
    std::vector<double> sojourns;
    for (std::uint64_t seed = 1000; seed < 1200; ++seed) {
      sojourns.push_back(poisson_run(seed, LinkSharing::equal, kService / load, 500, 4000,
                                     [](RandomEngine& random) {
                                       // One in ten is large: mean 0.9 x 5000 + 0.1 x 55000.
                                       boost::random::uniform_int_distribution<int> die(0, 9);
                                       return std::int64_t{die(random) == 0 ? 55000 : 5000};
                                     })
                             .sojourn);
    }
    const Interval found = interval_of(sojourns);
    const double expected = kService / (1 - load);
    INFO("load ", load, ": ", found.mean, " +- ", found.half, ", M/G/1-PS ", expected);
    CHECK(std::abs(found.mean - expected) <= found.half);
    CHECK(found.half < 0.03 * expected);
  }
}

}  // namespace
}  // namespace v4cap
