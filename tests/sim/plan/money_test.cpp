#include "sim/plan/money.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

namespace v4cap {
namespace {

// An hour of eight GPUs in which prompts took a quarter of the steps.
Trial hour() {
  Trial t;
  t.window_s = 3600;
  t.gpus = 8;
  t.prefill_s = 500;
  t.decode_s = 1500;
  t.sessions = 10;
  t.requests = 100;
  t.computed = Tokens{3'000'000};
  t.rebuilt = Tokens{1'000'000};
  t.hit = Tokens{20'000'000};
  t.output = Tokens{2'000'000};
  return t;
}

TEST_CASE("money: the price of an hour is shared out by the time that each kind of token takes") {
  PriceTable prices;
  prices.currency = "USD";
  prices.tokens = TokenPrices{2, 0.5, 4, ""};
  const GpuPrice gpu{5, ""};
  const MoneyAnswer m = count_money({hour()}, &prices, &gpu, 3, 12, 20);
  CHECK(m.replica_hour == 40);
  CHECK(m.hour == 120);
  CHECK(m.spare_hour == 160);
  // 10 of 40 are the prompts', over 4 M tokens that were computed or rebuilt.
  CHECK(m.input->mean == doctest::Approx(2.5));
  CHECK(m.cached->mean == doctest::Approx(2.5 / 20));
  CHECK(m.output->mean == doctest::Approx(15));
  CHECK(m.all_tokens->mean == doctest::Approx(40.0 / 25));
  CHECK(m.session->mean == doctest::Approx(4));
  CHECK(m.request->mean == doctest::Approx(0.4));
  // What the parts cost together is what the hour costs.
  CHECK(3 * m.input->mean + 20 * m.cached->mean + 2 * m.output->mean == doctest::Approx(40));
  CHECK(m.revenue_hour->mean == doctest::Approx(3 * (6 + 10 + 8)));
  CHECK(m.margin_hour->mean == doctest::Approx(3 * (24.0 - 40)));
}

TEST_CASE("money: a task is a trajectory, a session or a request") {
  Trial t = hour();
  CHECK(task_cost(t, 5) == doctest::Approx(4));
  CHECK(std::string(task_name({}, t)) == "session");
  CHECK(std::string(task_name({.barrier = true}, t)) == "trajectory");
  t.sessions = 100;
  CHECK(std::string(task_name({}, t)) == "request");
  CHECK(task_cost(t, 5) == doctest::Approx(0.4));
  t.sessions = 0;
  CHECK(std::isinf(task_cost(t, 5)));
}

TEST_CASE("money: what is left when one engine is lost") {
  const MoneyAnswer three = count_money({hour()}, nullptr, nullptr, 3, 12, 20);
  CHECK(*three.load_after_loss == doctest::Approx(18));
  CHECK(three.holds_after_loss);
  const MoneyAnswer two = count_money({hour()}, nullptr, nullptr, 2, 12, 20);
  CHECK(*two.load_after_loss == doctest::Approx(24));
  CHECK_FALSE(two.holds_after_loss);
  CHECK_FALSE(count_money({hour()}, nullptr, nullptr, 1, 12, 20).load_after_loss.has_value());
  // Without prices a GPU-hour is the unit, and nothing is earned.
  CHECK(two.unit == "GPU-hours");
  CHECK(two.hour == 16);
  CHECK_FALSE(two.revenue_hour.has_value());
}

TEST_CASE("money: nothing served has no price, seeds give an interval") {
  Trial quiet = hour();
  quiet.output = Tokens{0};
  CHECK_FALSE(count_money({quiet}, nullptr, nullptr, 1, 1, 1).output.has_value());
  Trial half = hour();
  half.sessions = 5;
  const MoneyAnswer m = count_money({hour(), half}, nullptr, nullptr, 1, 1, 1);
  CHECK(m.session->low == doctest::Approx(0.8));
  CHECK(m.session->high == doctest::Approx(1.6));
}

}  // namespace
}  // namespace v4cap
