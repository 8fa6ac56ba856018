// What decides whether a check passes.
#include "exec/suite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "exec/selection.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

TEST_CASE("compare: relative error over everything and over the worst row") {
  const std::vector<double> expected{3, 4, 30, 40};
  const auto same = compare("x", expected, expected, 2, 0);
  REQUIRE(same.size() == 2);
  CHECK(same[0].error == 0);
  CHECK(same[1].error == 0);
  const auto off = compare("x", expected, {3, 4.5, 30, 40}, 2, 0.01);
  CHECK(off[0].error == doctest::Approx(0.5 / std::sqrt(25 + 2500)));
  CHECK(off[1].error == doctest::Approx(0.1));
  CHECK(off[0].tolerance == 0.01);
  CHECK(off[1].tolerance == doctest::Approx(0.04));
}

TEST_CASE("compare: what is not a number never passes, poison neither") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Finding& f : compare("x", {1, 2}, {1, nan}, 2, 1e9)) CHECK(std::isinf(f.error));
  for (const Finding& f : compare("x", {1, 2}, {1, 3.4e38}, 2, 1e9)) CHECK(f.error > 1e9);
  // A row that should be zeros and is not.
  CHECK(std::isinf(compare("x", {0, 0, 1, 1}, {0, 1, 1, 1}, 2, 1e9)[1].error));
}

TEST_CASE("compare: an infinity that is wanted is no error, any other is") {
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(compare("x", {-inf, 2}, {-inf, 2}, 2, 0)[0].error == 0);
  CHECK(!(compare("x", {-inf, 2}, {1, 2}, 2, 1e9)[0].error <= 1e9));
  CHECK(!(compare("x", {1, 2}, {inf, 2}, 2, 1e9)[0].error <= 1e9));
}

TEST_CASE("compare exactly: the share of elements that differ") {
  CHECK(compare_exactly("x", {1, 2, 3, 4}, {1, 2, 3, 4}).error == 0);
  CHECK(compare_exactly("x", {1, 2, 3, 4}, {1, 2, 0, 4}).error == 0.25);
}

TEST_CASE("suites: chosen by name, an unknown one is refused with the nearest") {
  CHECK(select_suites({}).size() == suites().size());
  const auto some = select_suites({"topk", "attention"});
  REQUIRE(some.size() == 2);
  CHECK(some[0].name == "topk");
  CHECK(some[1].name == "attention");
  try {
    select_suites({"topkk"});
    FAIL("an unknown operator was taken");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("found 'topkk'; did you mean 'topk'?") !=
          std::string::npos);
  }
}

TEST_CASE("suites: every operator with a reference has a suite") {
  std::vector<std::string> known;
  for (const Suite& suite : suites()) known.push_back(suite.name);
  int operators = 0;
  for (const auto& folder :
       std::filesystem::directory_iterator(std::string(V4CAP_SOURCE_DIR) + "/kernels")) {
    if (!std::filesystem::exists(folder.path() / "reference.cpp")) continue;
    ++operators;
    CAPTURE(folder.path().filename().string());
    CHECK(std::binary_search(known.begin(), known.end(), folder.path().filename().string()));
  }
  CHECK(operators >= 20);
}

TEST_CASE("versions: an unknown name is refused with the nearest") {
  CHECK_NOTHROW(refuse_unknown_version(""));
  CHECK_NOTHROW(refuse_unknown_version("portable"));
  try {
    refuse_unknown_version("portabel");
    FAIL("an unknown version was taken");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("did you mean 'portable'?") != std::string::npos);
  }
}

TEST_CASE("findings: the worst of each kind is kept, also of kinds that come later") {
  std::vector<Finding> worst;
  keep_worst(worst, {{"a", 1, 2}, {"b", 5, 2}});
  keep_worst(worst, {{"b", 4, 2}, {"c", 1, 2}, {"a", std::nan(""), 2}});
  REQUIRE(worst.size() == 3);
  CHECK(std::isnan(worst[0].error));
  CHECK(worst[1].error == 5);
  CHECK(worst[2].what == "c");
}

TEST_CASE("suites: every operator has checks and names of cases are its own") {
  for (const Suite& suite : suites()) {
    CAPTURE(suite.name);
    CHECK(!suite.check.empty());
    std::vector<std::string> names;
    for (const CaseSpec& spec : suite.check) names.push_back(spec.name);
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  }
}

}  // namespace
}  // namespace v4cap::exec
