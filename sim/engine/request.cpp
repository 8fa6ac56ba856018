#include "sim/engine/request.h"

#include <array>
#include <string>

namespace v4cap {

namespace {

constexpr std::array<std::string_view, 9> kNames = {"waiting",  "rebuilding", "prefilling",
                                                    "decoding", "finished",   "refused",
                                                    "loading",  "sending",    "receiving"};

constexpr unsigned bit(RequestState s) {
  return 1U << static_cast<unsigned>(s);
}

// Successors of each state. A request without output finishes with its prompt.
constexpr unsigned successors(RequestState s) {
  using enum RequestState;
  switch (s) {
    case waiting:
      return bit(rebuilding) | bit(prefilling) | bit(refused) | bit(loading) | bit(receiving);
    case rebuilding:
      return bit(prefilling) | bit(waiting);
    case prefilling:
      return bit(decoding) | bit(finished) | bit(waiting) | bit(sending);
    case sending:
      return bit(finished);
    case receiving:
      return bit(decoding);
    case decoding:
      return bit(finished) | bit(waiting);
    case loading:
      return bit(waiting);
    case finished:
    case refused:
      return 0;
  }
  return 0;
}

}  // namespace

std::string_view name_of(RequestState state) {
  return kNames[static_cast<std::size_t>(state)];
}

void advance(LiveRequest& request, RequestState next) {
  V4CAP_CHECK((successors(request.state) & bit(next)) != 0,
              "request " + std::to_string(request.id) + " cannot go from " +
                  std::string(name_of(request.state)) + " to " + std::string(name_of(next)));
  request.state = next;
}

}  // namespace v4cap
