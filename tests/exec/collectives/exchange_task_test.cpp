#include "exec/collectives/exchange_task.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace v4cap::exec {
namespace {

ExchangeTask tokens_of(std::int64_t tokens, Routing routing, Exchange what = Exchange::dispatch) {
  return {.what = what,
          .graph = true,
          .tokens = tokens,
          .token_bytes = 7392,
          .top_k = 6,
          .experts = 384,
          .routing = routing};
}

TEST_CASE("exchange: a task goes through numbers unchanged") {
  for (const ExchangeTask& task :
       {ExchangeTask{}, ExchangeTask{.what = Exchange::all_gather, .graph = true, .bytes = 1 << 28},
        tokens_of(77, Routing::skewed)}) {
    CHECK(task_of(numbers_of(task)) == task);
  }
}

TEST_CASE("exchange: what ranks cannot share is refused with the reason") {
  CHECK(refusal({.what = Exchange::all_reduce, .bytes = 2}, 4) == "");
  CHECK(refusal({.what = Exchange::all_gather, .bytes = 8}, 4) == "");
  CHECK(refusal({.what = Exchange::all_gather, .bytes = 12}, 4) ==
        "expected a multiple of 8 bytes, found 12");
  CHECK(refusal({.what = Exchange::all_reduce, .bytes = 0}, 2) ==
        "expected a multiple of 2 bytes, found 0");
  CHECK(refusal(tokens_of(1, Routing::balanced), 8) == "");
  CHECK(refusal(tokens_of(1, Routing::balanced), 5) ==
        "expected experts that 5 ranks can share, found 384");
}

TEST_CASE("exchange: tokens reach each rank of their experts once") {
  for (const int ranks : {2, 4, 8}) {
    for (const Routing routing : {Routing::balanced, Routing::skewed}) {
      const auto r = static_cast<std::size_t>(ranks);
      const auto tokens = routed_tokens(tokens_of(2000, routing), ranks);
      REQUIRE(tokens.size() == r * r);
      CHECK(tokens == routed_tokens(tokens_of(2000, routing), ranks));
      const double all = static_cast<double>(std::accumulate(tokens.begin(), tokens.end(), 0LL));
      for (const std::int64_t n : tokens) CHECK(n <= 2000);
      // Six draws without repetition among the experts of `ranks`: with n experts a rank, a rank is
      // missed with probability C(384 - n, 6) / C(384, 6).
      double missed = 1;
      for (int i = 0; i < 6; ++i) missed *= (384.0 - 384.0 / ranks - i) / (384.0 - i);
      const double expected = 2000.0 * ranks * ranks * (1 - missed);
      if (routing == Routing::balanced) {
        CHECK(all == doctest::Approx(expected).epsilon(0.02));
      } else {
        CHECK(all <= expected * 1.02);  // experts of one token meet on the popular ranks more often
        std::vector<std::int64_t> to(r);
        for (std::size_t i = 0; i < tokens.size(); ++i) to[i % r] += tokens[i];
        const auto [low, high] = std::ranges::minmax(to);
        // Of two ranks nearly every token has an expert on both.
        if (ranks > 2) CHECK(static_cast<double>(high) > 1.03 * static_cast<double>(low));
      }
    }
  }
}

TEST_CASE("exchange: what one rank sends another gets, and combine is the way back") {
  const int ranks = 4;
  for (const Routing routing : {Routing::balanced, Routing::skewed}) {
    for (int a = 0; a < ranks; ++a) {
      const Sizes of_a = sizes_of(tokens_of(33, routing), a, ranks);
      const Sizes back = sizes_of(tokens_of(33, routing, Exchange::combine), a, ranks);
      CHECK(back.to == of_a.from);
      CHECK(back.from == of_a.to);
      for (int b = 0; b < ranks; ++b) {
        const Sizes of_b = sizes_of(tokens_of(33, routing), b, ranks);
        CHECK(of_a.to[static_cast<std::size_t>(b)] == of_b.from[static_cast<std::size_t>(a)]);
      }
      CHECK(in_bytes(tokens_of(33, routing), a, ranks) ==
            std::accumulate(of_a.to.begin(), of_a.to.end(), std::size_t{0}));
      CHECK(out_bytes(tokens_of(33, routing), a, ranks) ==
            std::accumulate(of_a.from.begin(), of_a.from.end(), std::size_t{0}));
    }
  }
  const ExchangeTask gather{.what = Exchange::all_gather, .bytes = 64};
  CHECK(in_bytes(gather, 1, ranks) == 16);
  CHECK(out_bytes(gather, 1, ranks) == 64);
  const ExchangeTask scatter{.what = Exchange::reduce_scatter, .bytes = 64};
  CHECK(in_bytes(scatter, 1, ranks) == 64);
  CHECK(out_bytes(scatter, 1, ranks) == 16);
  CHECK(sizes_of({.what = Exchange::all_to_all, .bytes = 64}, 3, ranks).to ==
        std::vector<std::size_t>(4, 16));
}

TEST_CASE("exchange: samples time many of the small and one of the large") {
  CHECK(repeats_of({.what = Exchange::all_reduce, .bytes = 2}, 8).launches == 40);
  CHECK(repeats_of({.what = Exchange::all_reduce, .bytes = 1 << 28}, 8).launches == 1);
  CHECK(repeats_of(tokens_of(8192, Routing::skewed), 8).launches == 1);
}

}  // namespace
}  // namespace v4cap::exec
