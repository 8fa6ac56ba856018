// Which versions run where, and which of them is preferred.
#include "kernels/registry.h"

#include <doctest/doctest.h>

namespace v4cap::kernels {
namespace {

struct SomeArgs {
  int rows = 0;
};

TEST_CASE("registry: portable code needs 9.0, tuned code its own architecture") {
  CHECK(!runs_on(Target::portable, 8, 9));
  CHECK(runs_on(Target::portable, 9, 0));
  CHECK(runs_on(Target::portable, 10, 0));
  CHECK(runs_on(Target::portable, 12, 0));
  CHECK(runs_on(Target::sm90a, 9, 0));
  CHECK(!runs_on(Target::sm90a, 10, 0));
  CHECK(runs_on(Target::sm100a, 10, 0));
  CHECK(!runs_on(Target::sm100a, 10, 3));
  CHECK(!runs_on(Target::sm100a, 9, 0));
}

TEST_CASE("registry: the preferred version comes first, equals by name") {
  Version<SomeArgs> plain, tuned, other;
  plain.name = "portable";
  other.name = "b";
  other.preference = 10;
  tuned.name = "a";
  tuned.preference = 10;
  const Register<SomeArgs> one(plain), two(other), three(tuned);
  const auto all = versions<SomeArgs>();
  REQUIRE(all.size() == 3);
  CHECK(all[0].name == "a");
  CHECK(all[1].name == "b");
  CHECK(all[2].name == "portable");
}

}  // namespace
}  // namespace v4cap::kernels
