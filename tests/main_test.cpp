// The test program's main, and the rule that its test cases obey.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

TEST_CASE("test case names are unique and safe to filter by") {
  std::set<std::string> seen;
  for (const doctest::detail::TestCase& test : doctest::detail::getRegisteredTests()) {
    std::string name = test.m_name;
    CAPTURE(name);
    CHECK(name.find_first_of("*;\\[]") == std::string::npos);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    CHECK(seen.insert(name).second);
  }
  CHECK(!seen.empty());
}
