// Which versions of an operator a result may rest on.
#include "kernels/usable.h"

#include <doctest/doctest.h>

#include "kernels/topk/topk.h"

namespace v4cap::kernels {
namespace {

TEST_CASE("usable versions: those that have run, until a list says which passed here") {
  using Args = topk::Args;
  CHECK(version_id<Args>("portable") == "topk::Args/portable");
  const Version<Args> known{.name = "portable"};
  const Version<Args> never_run{.name = "sm100a_new", .never_run = true};
  CHECK(usable(known));
  CHECK(!usable(never_run));
  passed_versions() = {"topk::Args/sm100a_new", "router::Args/portable"};
  CHECK(!usable(known));
  CHECK(usable(never_run));
  passed_versions().reset();
  CHECK(usable(known));
}

}  // namespace
}  // namespace v4cap::kernels
