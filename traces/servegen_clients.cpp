// ServeGen client distributions (github.com/alibaba/ServeGen, data/reason/deepseek-r1): one client
// a line.
//   windows   [start_s, rate, cv, dist, shape, scale] for each 600 s; dist "Gamma", "Weibull" or
//   null (idle) lengths   by start second, each holding until the next: histograms [[value,
//   probability], ...] of
//             input_tokens, output_tokens and reason_ratio
//
// It is not a list of requests: they are sampled here, with a seed, over the whole day or a part of
// it.
//
// Decisions. The rate of a window is taken as published and its fit only for the shape of the gaps:
// in windows where a client was active for a part of the time, shape and scale describe that part
// and would give up to 5,000 times the rate. Each client is a process of its own that runs on from
// window to window (traces/arrivals.h). Prompt and output are drawn independently, as published
// (their correlation is lost); reason_ratio is part of the output and not used. There are neither
// sessions nor block ids.
#include <algorithm>
#include <boost/random/uniform_01.hpp>
#include <cmath>
#include <limits>
#include <tuple>

#include "sim/core/random.h"
#include "traces/arrivals.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

constexpr double kWindow_s = 600;

bool sniff(std::string_view line) {
  return has_keys(line, {"client", "windows", "lengths"});
}

// Draws values by their probabilities, which were rounded and need not sum to 1 exactly.
class Histogram {
 public:
  Histogram(JsonValue pairs, std::int64_t low) {
    double sum = 0;
    for (const JsonValue pair : pairs.array()) {
      if (pair.kind() != JsonKind::array || pair.size() != 2) {
        pair.fail("expected [value, probability], found something else");
      }
      auto part = pair.array().begin();
      values_.push_back((*part).integer(low, kTraceTokensMax));
      sum += (*++part).number(0, 1);
      sums_.push_back(sum);
    }
    constexpr double kRounding = 0.01;
    if (!values_.empty() && std::fabs(sum - 1) > kRounding) {
      pairs.fail("expected probabilities that sum to 1, found another sum");
    }
  }
  bool empty() const { return values_.empty(); }
  std::int64_t draw(RandomEngine& engine) const {
    const double u = boost::random::uniform_01<double>()(engine) * sums_.back();
    const auto it = std::upper_bound(sums_.begin(), sums_.end() - 1, u);
    return values_[static_cast<std::size_t>(it - sums_.begin())];
  }

 private:
  std::vector<std::int64_t> values_;
  std::vector<double> sums_;
};

struct LengthPeriod {
  double start_s;
  Histogram prompt, output;
};

struct Sample {
  Duration at{};
  std::int64_t client = 0, number = 0, prompt = 0, output = 0;
  auto order() const { return std::tie(at, client, number); }
};

GapShape read_shape(JsonValue dist, JsonValue shape) {
  const std::string_view name = dist.string();
  constexpr double kGammaLow = 1e-4, kWeibullLow = 0.02, kHigh = 1e6;
  if (name == "Gamma") return {GapKind::gamma, shape.number(kGammaLow, kHigh)};
  if (name == "Weibull") return {GapKind::weibull, shape.number(kWeibullLow, kHigh)};
  dist.fail("expected \"Gamma\", \"Weibull\" or null, found another distribution");
}

// Windows cut to [from_s, to_s); adds the expected number of requests in them.
std::vector<RateWindow> read_windows(JsonValue windows, double from_s, double to_s,
                                     double& expected) {
  std::vector<RateWindow> out;
  double next_s = 0;
  for (const JsonValue entry : windows.array()) {
    if (entry.kind() != JsonKind::array || entry.size() != 6) {
      entry.fail(
          "'windows': expected [start_s, rate, cv, dist, shape, scale], found something else");
    }
    std::vector<JsonValue> field;
    for (const JsonValue value : entry.array()) field.push_back(value);
    const double start_s = field[0].number(0, 3.2e9);
    if (start_s != next_s) {
      field[0].fail(
          "'windows': expected windows of 600 s without gaps from 0, found another start");
    }
    next_s = start_s + kWindow_s;
    field[2].number(0, 1e9);
    field[5].number(0, 1e12);
    RateWindow window{
        std::max(start_s, from_s), std::min(next_s, to_s), field[1].number(0, 1e6), {}};
    if (window.rate_per_s > 0) window.gaps = read_shape(field[3], field[4]);
    if (window.start_s >= window.end_s) continue;
    expected += window.rate_per_s * (window.end_s - window.start_s);
    out.push_back(window);
  }
  return out;
}

std::vector<LengthPeriod> read_lengths(JsonValue lengths) {
  std::vector<LengthPeriod> out;
  for (const JsonValue period : lengths.members()) {
    double start_s = 0;
    for (const char c : period.key()) {
      if (c < '0' || c > '9' || start_s > 3.2e9)
        period.fail("expected a start second as key, found another");
      start_s = 10 * start_s + (c - '0');
    }
    if (out.empty() ? start_s != 0 : start_s <= out.back().start_s) {
      period.fail("'lengths': expected start seconds from 0 in order, found another");
    }
    out.push_back({start_s, Histogram(period.at("input_tokens"), 1),
                   Histogram(period.at("output_tokens"), 0)});
  }
  return out;
}

class ClientsReader {
 public:
  ClientsReader(TextFile& file, const TraceReadOptions& options)
      : file_(file), options_(options), streams_(options.seed) {
    from_s_ = to_seconds(options.window_start);
    to_s_ = options.window_length > Duration{} ? from_s_ + to_seconds(options.window_length)
                                               : std::numeric_limits<double>::infinity();
  }

  Trace read() {
    JsonLine json;
    while (file_.next()) {
      sample_client(
          parse_json_object(json, file_.line(), file_.place(), !file_.line_is_terminated()));
    }
    std::sort(samples_.begin(), samples_.end(),
              [](const Sample& a, const Sample& b) { return a.order() < b.order(); });
    TraceBuilder builder(options_, Tokens{0});
    builder.trace().has_arrivals = true;
    for (const Sample& sample : samples_) {
      if (builder.full()) break;
      builder.add(Tokens{sample.prompt}, Tokens{sample.output}).arrival =
          sample.at - options_.window_start;
    }
    builder.note("sampled with seed " + std::to_string(options_.seed) + " from " +
                 std::to_string(clients_) + " clients: " + std::to_string(samples_.size()) +
                 " requests where " + std::to_string(std::llround(expected_)) + " are expected");
    builder.note("prompt and output are drawn independently, as published");
    builder.note(census_.note());
    return builder.finish();
  }

 private:
  void sample_client(JsonValue object) {
    census_.see(object);
    const JsonValue number = object.at("client");
    const std::int64_t client = number.integer(0, kTraceTokensMax);
    if (client <= client_before_)
      number.fail("'client': expected clients in order, each once, found another");
    client_before_ = client;
    ++clients_;
    const JsonValue lengths = object.at("lengths");
    const std::vector<LengthPeriod> periods = read_lengths(lengths);
    const std::string name = std::to_string(client);
    ArrivalStream arrivals(read_windows(object.at("windows"), from_s_, to_s_, expected_),
                           streams_.stream("servegen arrivals " + name), false);
    RandomEngine engine = streams_.stream("servegen lengths " + name);
    if (expected_ > kExpectedMax) {
      number.fail(
          "expected at most 20 million requests in all, found rates that give more; sample a "
          "part of the day");
    }
    std::int64_t count = 0;
    std::size_t period = 0;
    while (const auto at_s = arrivals.next_s()) {
      while (period + 1 < periods.size() && periods[period + 1].start_s <= *at_s) ++period;
      if (periods.empty() || periods[period].prompt.empty() || periods[period].output.empty()) {
        lengths.fail("'lengths': expected histograms for every period with a rate, found none");
      }
      const std::int64_t prompt = periods[period].prompt.draw(engine);
      const std::int64_t output = periods[period].output.draw(engine);
      samples_.push_back({duration_from_seconds(*at_s), client, count++, prompt, output});
    }
  }

  static constexpr double kExpectedMax = 20e6;

  TextFile& file_;
  const TraceReadOptions& options_;
  RandomStreams streams_;
  KeyCensus census_{{"client", "windows", "lengths"}};
  double from_s_ = 0, to_s_ = 0, expected_ = 0;
  std::int64_t client_before_ = -1, clients_ = 0;
  std::vector<Sample> samples_;
};

Trace read(TextFile& file, const TraceReadOptions& options) {
  return ClientsReader(file, options).read();
}

const bool registered = TraceFormats::add(
    "servegen-clients", {"ServeGen clients: distributions that requests are sampled from",
                         sniff,
                         read,
                         16 << 20,
                         {TraceFields::Shape::json, {"client", "windows", "lengths"}}});

}  // namespace

}  // namespace v4cap
