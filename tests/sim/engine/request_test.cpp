// The state machine: every edge of the diagram is open and no other is.
#include "sim/engine/request.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "tests/dies.h"

namespace v4cap {
namespace {

using enum RequestState;
constexpr RequestState kStates[] = {waiting, rebuilding, prefilling, decoding, finished, refused};

TEST_CASE("request states: exactly the edges of the diagram") {
  const std::set<std::pair<RequestState, RequestState>> edges = {
      {waiting, rebuilding},    {waiting, prefilling}, {waiting, refused},
      {rebuilding, prefilling}, {rebuilding, waiting}, {prefilling, decoding},
      {prefilling, finished},   {prefilling, waiting}, {decoding, finished},
      {decoding, waiting},
  };
  for (const RequestState from : kStates) {
    for (const RequestState to : kStates) {
      CAPTURE(std::string(name_of(from)));
      CAPTURE(std::string(name_of(to)));
      LiveRequest request;
      request.state = from;
      if (edges.count({from, to}) > 0) {
        advance(request, to);
        CHECK(request.state == to);
      } else {
        CHECK(dies([&] { advance(request, to); }));
      }
    }
  }
}

TEST_CASE("request states have distinct names") {
  std::set<std::string_view> names;
  for (const RequestState state : kStates) names.insert(name_of(state));
  CHECK(names.size() == 6);
  CHECK(name_of(refused) == "refused");
}

}  // namespace
}  // namespace v4cap
