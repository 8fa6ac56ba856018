#include "sim/plan/trace_sample.h"

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/core/random.h"

namespace v4cap {

namespace {

using Unit = std::vector<std::uint32_t>;  // requests in file order

std::vector<Unit> units_of(const Trace& trace) {
  std::vector<Unit> units;
  std::vector<std::size_t> of_session(trace.session_names.size(), SIZE_MAX);
  for (std::uint32_t r = 0; r < trace.requests.size(); ++r) {
    const std::int32_t session = trace.requests[r].session;
    if (session == kNoSession) {
      units.push_back({r});
      continue;
    }
    std::size_t& unit = of_session[static_cast<std::size_t>(session)];
    if (unit == SIZE_MAX) {
      unit = units.size();
      units.emplace_back();
    }
    units[unit].push_back(r);
  }
  return units;
}

// Copies units of one trace into another.
class SampleBuilder {
 public:
  explicit SampleBuilder(const Trace& whole) : whole_(whole), place_(whole.requests.size()) {
    out_.name = whole.name;
    out_.format = whole.format;
    out_.block = whole.block;
    out_.has_arrivals = whole.has_arrivals;
    out_.has_sessions = whole.has_sessions;
    out_.partial_last_block = whole.partial_last_block;
    out_.next_free_id = whole.next_free_id;
  }

  std::size_t size() const { return out_.requests.size(); }

  // `copy` counts from 0: which time this unit is put in. Returns the unit's first request.
  std::uint32_t add(const Unit& unit, std::int64_t copy, Duration shift) {
    const auto first = static_cast<std::uint32_t>(out_.requests.size());
    const std::int64_t id_shift = copy * whole_.next_free_id;
    out_.next_free_id = std::max(out_.next_free_id, id_shift + whole_.next_free_id);
    const std::int32_t session = new_session(unit, copy);
    for (std::size_t i = 0; i < unit.size(); ++i) {
      place_[unit[i]] = first + static_cast<std::uint32_t>(i);
    }
    for (const std::uint32_t r : unit) {
      const TraceRequest& from = whole_.requests[r];
      TraceRequest request = from;
      request.session = session;
      request.arrival += shift;
      request.runs_begin = static_cast<std::uint32_t>(out_.runs.size());
      for (const IdRun& run : whole_.runs_of(from)) {
        out_.runs.push_back({run.first + id_shift, run.count});
      }
      request.runs_end = static_cast<std::uint32_t>(out_.runs.size());
      request.after_begin = static_cast<std::uint32_t>(out_.after.size());
      for (const std::uint32_t before : whole_.after_of(from)) {
        if (!std::ranges::binary_search(unit, before)) {
          throw InputError(Place{whole_.name},
                           "expected sessions that do not wait for each other, so that some of "
                           "them can be drawn; request " +
                               std::to_string(r + 1) + " waits for one of another session");
        }
        out_.after.push_back(place_[before]);
      }
      request.after_end = static_cast<std::uint32_t>(out_.after.size());
      if (from.continued_by != kNoRequest) request.continued_by = place_[from.continued_by];
      out_.requests.push_back(request);
    }
    return first;
  }

  Trace& trace() { return out_; }
  Trace finish() { return std::move(out_); }

 private:
  std::int32_t new_session(const Unit& unit, std::int64_t copy) {
    const std::int32_t old = whole_.requests[unit.front()].session;
    if (old == kNoSession) return kNoSession;
    std::string name = whole_.session_names[static_cast<std::size_t>(old)];
    if (copy > 0) name += '#' + std::to_string(copy + 1);
    out_.session_names.push_back(std::move(name));
    return static_cast<std::int32_t>(out_.session_names.size()) - 1;
  }

  const Trace& whole_;
  Trace out_;
  std::vector<std::uint32_t> place_;  // of each request of the whole in the sample
};

RandomEngine engine_of(std::uint64_t seed) {
  return RandomStreams(seed).stream("sample");
}

// Units in random order, those of a group one after the other.
std::vector<std::size_t> shuffled(const Trace& trace, const std::vector<Unit>& units,
                                  RandomEngine& engine) {
  std::vector<std::vector<std::size_t>> sets;
  std::vector<std::size_t> of_group;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const std::int32_t group = trace.requests[units[u].front()].group;
    if (group < 0) {
      sets.push_back({u});
      continue;
    }
    const auto g = static_cast<std::size_t>(group);
    if (of_group.size() <= g) of_group.resize(g + 1, SIZE_MAX);
    if (of_group[g] == SIZE_MAX) {
      of_group[g] = sets.size();
      sets.emplace_back();
    }
    sets[of_group[g]].push_back(u);
  }
  // Fisher and Yates; std::shuffle is another one in every library.
  for (std::size_t i = sets.size(); i > 1; --i) {
    const std::size_t k = boost::random::uniform_int_distribution<std::size_t>(0, i - 1)(engine);
    std::swap(sets[i - 1], sets[k]);
  }
  std::vector<std::size_t> order;
  for (const auto& set : sets) order.insert(order.end(), set.begin(), set.end());
  return order;
}

}  // namespace

std::int64_t unit_count(const Trace& trace) {
  return static_cast<std::int64_t>(units_of(trace).size());
}

double recorded_rate(const Trace& trace) {
  if (!trace.has_arrivals || trace.requests.size() < 2) return 0;
  const auto [first, last] = std::ranges::minmax(trace.requests, {}, &TraceRequest::arrival);
  const double span_s = to_seconds(last.arrival - first.arrival);
  return span_s > 0 ? static_cast<double>(trace.requests.size() - 1) / span_s : 0;
}

Trace closed_sample(const Trace& whole, const ClosedSample& sample) {
  SampleBuilder builder(whole);
  const std::vector<Unit> units = units_of(whole);
  if (units.empty()) return builder.finish();
  RandomEngine engine = engine_of(sample.seed);
  std::vector<std::size_t> order;
  for (std::int64_t i = 0; i < sample.units; ++i) {
    const std::size_t at = static_cast<std::size_t>(i) % units.size();
    if (at == 0) order = shuffled(whole, units, engine);
    const std::uint32_t first =
        builder.add(units[order[at]], i / static_cast<std::int64_t>(units.size()), Duration{});
    if (i >= sample.at_once || sample.at_once < 2) continue;
    // The unit's first requests wait their part of the ramp.
    const Duration wait{sample.ramp.count() / sample.at_once * i};
    std::vector<TraceRequest>& requests = builder.trace().requests;
    for (std::size_t r = first; r < requests.size(); ++r) {
      if (requests[r].after_begin == requests[r].after_end) requests[r].think += wait;
    }
  }
  if (sample.think_at_most) {
    for (TraceRequest& r : builder.trace().requests) {
      // The ramp is no pause of a user.
      if (r.after_begin < r.after_end) r.think = std::min(r.think, *sample.think_at_most);
    }
  }
  return builder.finish();
}

Trace open_sample(const Trace& whole, std::int64_t requests, std::uint64_t seed) {
  SampleBuilder builder(whole);
  std::vector<Unit> units = units_of(whole);
  if (units.empty()) return builder.finish();
  const auto arrival = [&](const Unit& unit) { return whole.requests[unit.front()].arrival; };
  std::ranges::stable_sort(units, {}, arrival);
  // After its last unit the trace begins again, one mean gap later.
  const Duration span = arrival(units.back()) - arrival(units.front());
  const Duration around = span + Duration{span.count() / static_cast<std::int64_t>(units.size())};
  RandomEngine engine = engine_of(seed);
  const std::size_t begin =
      boost::random::uniform_int_distribution<std::size_t>(0, units.size() - 1)(engine);
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (static_cast<std::int64_t>(builder.size()) >= requests) break;
    const std::size_t at = (begin + i) % units.size();
    const Duration wrapped = at < begin ? around : Duration{};
    builder.add(units[at], 0, wrapped - arrival(units[begin]));
  }
  return builder.finish();
}

}  // namespace v4cap
