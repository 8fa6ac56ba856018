#include "sim/core/registry.h"

#include <doctest/doctest.h>

#include "tests/dies.h"

namespace v4cap {
namespace {

using Fruits = Registry<int (*)()>;
const bool pear = Fruits::add("pear", [] { return 2; });
const bool apple = Fruits::add("apple", [] { return 1; });

TEST_CASE("registry finds by name and lists names sorted, not as they were linked") {
  REQUIRE(Fruits::find("apple") != nullptr);
  CHECK((*Fruits::find("apple"))() == 1);
  CHECK((*Fruits::find("pear"))() == 2);
  CHECK(Fruits::find("plum") == nullptr);
  CHECK(Fruits::find("") == nullptr);
  CHECK(Fruits::names() == std::vector<std::string>{"apple", "pear"});
}

TEST_CASE("registry: two of one name are our mistake") {
  CHECK(dies([] { Fruits::add("pear", nullptr); }));
}

}  // namespace
}  // namespace v4cap
