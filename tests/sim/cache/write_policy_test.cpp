// Write policies: what each copies down, and what it refuses to be called.
#include "sim/cache/write_policy.h"

#include <doctest/doctest.h>

#include <string>

namespace v4cap {
namespace {

std::string refusal(const std::string& text) {
  try {
    make_write_policy(text);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST_CASE("write policies: with which use a copy is made, and when it is not too late") {
  struct Row {
    std::string name;
    bool first_use, second_use, third_use, leaves;
  };
  const Row rows[] = {{"write_through", true, true, true, false},
                      {"write_back", false, false, false, true},
                      {"selective=2", false, true, true, false},
                      {"selective=3", false, false, true, false}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto policy = make_write_policy(row.name);
    CHECK(policy->name() == row.name);
    CHECK(policy->on_use(1) == row.first_use);
    CHECK(policy->on_use(2) == row.second_use);
    CHECK(policy->on_use(3) == row.third_use);
    CHECK(policy->on_leave(1) == row.leaves);
  }
}

TEST_CASE("write policies: a wrong name or argument is refused with what would do") {
  CHECK(refusal("write_trough") ==
        "unknown write policy 'write_trough'; did you mean 'write_through'?");
  CHECK(refusal("write_back=2") == "write policy 'write_back' takes no argument, got '2'");
  CHECK(refusal("selective") ==
        "expected 'selective=N' with N from 2 to 1000000 uses, got 'selective=' (with the first "
        "use: write_through)");
  CHECK(refusal("selective=1").starts_with("expected 'selective=N' with N from 2"));
  CHECK(refusal("selective=2x").starts_with("expected 'selective=N' with N from 2"));
}

}  // namespace
}  // namespace v4cap
